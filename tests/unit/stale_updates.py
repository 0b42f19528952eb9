"""The conditional updates that there are, each with calls that hold a row which has changed since they read it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bson import ObjectId

from kernapay.administration.repository import AccountRepository
from kernapay.apikeys.models import ApiKey, EndReason
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.customers.models import Customer
from kernapay.customers.repository import CustomerRepository
from kernapay.deliveries.dispatch.repository import DispatchEndpointRepository, DueRepository
from kernapay.deliveries.dispatch.rows import Note
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.models import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    EventType,
)
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.deliveries.sender import Outcome, Verdict
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.claims.repository import ClaimRepository
from kernapay.payments.documents.models import Paper, PaperKind
from kernapay.payments.documents.repository import PaperRepository
from kernapay.payments.evidence import Origin
from kernapay.payments.imported.models import Former
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Dispute, Mismatch, Payment, Payout, Refund
from kernapay.payments.order_notes import hash_key
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import (
    DisputeStatus,
    Event,
    RefundState,
    Source,
    Status,
    SurplusReason,
)
from kernapay.reconciliation.models import Finding, Kind, ReportState
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.security.principal import Role
from kernapay.sessions.models import SecondFactor, Session
from kernapay.sessions.repository import SessionRepository
from kernapay.sessions.second_factor.repository import SecondFactorRepository
from kernapay.settlements.days.repository import SettlementDayRepository
from kernapay.settlements.models import BankSettlement
from kernapay.settlements.repository import SettlementRepository
from kernapay.settlements.rows import Sums
from kernapay.storage.cache import Cache
from kernapay.storage.locks import Lock
from kernapay.storage.mongo import Mongo, database
from kernapay.storage.updates import RowChanged
from kernapay.users.models import User, UserStatus
from kernapay.verification.policies import Policy
from kernapay.verification.repository import CodeRepository
from kernapay.webhooks.models import EventStatus, WebhookEvent
from kernapay.webhooks.repository import WebhookRepository
from tests.clocks import FrozenClock
from tests.live.noted_signals import NotedSignals

ORIGIN = Origin(Source.WEBHOOK, "test")
MINUTE = timedelta(minutes=1)


class Step(NamedTuple):
    """A call with a row as it was read, and whether it may still act."""

    call: Callable[[], Awaitable[object]]
    acts: bool


Steps = list[Step]


def once(*calls: Callable[[], Awaitable[object]]) -> Steps:
    """Only the first of these calls may act."""
    return [Step(call, number == 0) for number, call in enumerate(calls)]


class World:
    """The repositories, by one clock."""

    def __init__(self, mongo: Mongo, cache: Cache, clock: FrozenClock) -> None:
        self.mongo = mongo
        self.clock = clock
        payments = PaymentRepository(mongo, cache, clock)
        self.ledger = PaymentLedger(
            mongo, payments, Lifetimes(15 * MINUTE, timedelta(days=7)), NotedSignals()
        )
        self.accounts = AccountRepository(mongo, cache, clock)
        self.keys = ApiKeyRepository(mongo, cache, clock)
        self.sessions = SessionRepository(mongo, cache, clock)
        self.codes = CodeRepository(mongo, clock)
        self.second_factors = SecondFactorRepository(mongo, clock)
        self.events = WebhookRepository(mongo, clock)
        self.reports = ReportRepository(mongo, clock)
        self.findings = FindingRepository(mongo, clock)
        self.settlements = SettlementRepository(mongo, clock)
        self.days = SettlementDayRepository(mongo, clock)
        self.customers = CustomerRepository(mongo, clock)
        self.claims = ClaimRepository(mongo, clock)
        self.endpoints = EndpointRepository(mongo, clock)
        self.deliveries = DeliveryRepository(mongo, timedelta(days=30), clock)
        self.dispatch_endpoints = DispatchEndpointRepository(mongo, clock)
        self.papers = PaperRepository(mongo, clock)
        self.due = DueRepository(mongo, timedelta(days=30), timedelta(days=7), clock)

    async def payment(self, **changes: Any) -> Payment:
        return await self.ledger.add(
            Payment(
                **{
                    "user_id": ObjectId(),
                    "amount": 1000,
                    "currency": "INR",
                    "reference_id": f"PAY_{ObjectId()}",
                    "service_type": "CONSULTATION",
                    "check_at": self.clock() - timedelta(days=1),
                    **changes,
                }
            )
        )

    async def forget_marker(self, payment: Payment) -> None:
        """Leave the payment as a version that knows no marker would."""
        await self.mongo.run(
            lambda: database().payments.update_one(
                {"_id": payment.pk}, {"$unset": {"announce": ""}}
            )
        )

    async def endpoint(self, **changes: Any) -> Endpoint:
        at = self.clock()
        facts = {"url": "https://shop.example/", "keeper": str(ObjectId()), "since": at}
        return await self.endpoints.add(Endpoint(**{**facts, **changes}))

    async def ordered(self) -> Payment:
        order = f"order_{ObjectId()}"
        return await self.payment(order_id=order, razorpay_order_id=order)

    def refund(self, **changes: Any) -> Refund:
        at = self.clock()
        facts = {
            "receipt": f"KPR_{ObjectId()}",
            "key": "key",
            "amount": 100,
            "status": RefundState.REQUESTED,
            "source": Source.API,
            "lease_until": at - MINUTE,
            "created_at": at,
            "updated_at": at,
        }
        return Refund(**{**facts, **changes})

    async def refunded(self) -> tuple[Payment, Refund]:
        refund = self.refund()
        payment = await self.payment(
            status=Status.SUCCESS, razorpay_payment_id="pay_1", refunds=[refund]
        )
        return payment, refund

    async def user(self, **changes: Any) -> User:
        return await self.accounts.add(
            User(
                **{
                    "email": f"{ObjectId()}@example.com",
                    "name": "Asha",
                    "password": "first",
                    "type": Role.PROVIDER,
                    "status": UserStatus.ACTIVE,
                    **changes,
                }
            )
        )

    async def key(self) -> ApiKey:
        return await self.keys.add(
            ApiKey(
                name="Till",
                digest=str(ObjectId()) * 2,
                hint="kp_test_…",
                user_id=ObjectId(),
                role=Role.USER,
                created_by=ObjectId(),
            )
        )

    async def session(self) -> Session:
        return await self.sessions.add(
            Session(
                id=str(ObjectId()),
                user_id=ObjectId(),
                expires_at=self.clock() + timedelta(hours=1),
                refresh_hash="first",
            )
        )

    async def event(self, status: EventStatus) -> WebhookEvent:
        name = str(ObjectId())
        return await self.events.add(
            WebhookEvent(
                event_id=name,
                body_hash=name,
                body=b"{}",
                event="x",
                status=status,
                next_at=self.clock(),
            )
        )


def captured(payment: Payment) -> GatewayPayment:
    return GatewayPayment(
        id="pay_1",
        amount=payment.amount,
        currency=payment.currency,
        status="captured",
        order_id=payment.razorpay_order_id,
        captured=True,
        created_at=1,
    )


async def order_lease_taken(world: World) -> Steps:
    stale = await world.payment()
    take = lambda: world.ledger.take_order_lease(stale, MINUTE)  # noqa: E731
    return once(take, take)


async def order_lease_taken_of_ordered(world: World) -> Steps:
    stale = await world.payment()
    await world.ledger.attach_order(stale, f"order_{ObjectId()}")
    return [Step(lambda: world.ledger.take_order_lease(stale, MINUTE), acts=False)]


async def order_lease_released_by_its_loser(world: World) -> Steps:
    payment = await world.payment()
    lost = await world.ledger.take_order_lease(payment, MINUTE)
    world.clock.advance(2 * MINUTE)
    held = await world.ledger.take_order_lease(payment, MINUTE)
    assert lost is not None
    assert held is not None
    return [
        Step(lambda: world.ledger.release_order_lease(lost), acts=False),
        *once(*[lambda: world.ledger.release_order_lease(held)] * 2),
    ]


async def order_attached(world: World) -> Steps:
    stale = await world.payment()
    return once(
        lambda: world.ledger.attach_order(stale, f"order_{ObjectId()}"),
        lambda: world.ledger.attach_order(stale, f"order_{ObjectId()}"),
    )


async def moved(world: World) -> Steps:
    stale = await world.ordered()
    ledger = world.ledger
    return once(
        lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, captured(stale)),
        lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, captured(stale)),
        lambda: ledger.move(Event.DECLINED, stale, ORIGIN),
        lambda: ledger.move(Event.EXPIRED, stale, ORIGIN),
    )


async def authorization_recorded(world: World) -> Steps:
    stale = await world.ordered()
    record = lambda: world.ledger.record_authorization(stale, ORIGIN, captured(stale))  # noqa: E731
    return once(record, record)


async def authorization_of_a_paid_one(world: World) -> Steps:
    stale = await world.ordered()
    await world.ledger.move(Event.CAPTURED, stale, ORIGIN, captured(stale))
    record = lambda: world.ledger.record_authorization(stale, ORIGIN, captured(stale))  # noqa: E731
    return [Step(record, acts=False)]


async def refund_reserved(world: World) -> Steps:
    stale = await world.payment(status=Status.SUCCESS, razorpay_payment_id="pay_1")
    reserve = world.ledger.reserve_refund
    return once(
        lambda: reserve(stale, world.refund(), 30),
        lambda: reserve(stale, world.refund(), 30),
        lambda: reserve(stale, world.refund(key="other", amount=901), 30),
    )


async def refund_lease_taken(world: World) -> Steps:
    stale, refund = await world.refunded()
    take = lambda: world.ledger.take_refund_lease(stale, refund, MINUTE)  # noqa: E731
    return once(take, take)


async def refund_lease_released_by_its_loser(world: World) -> Steps:
    stale, lost = await world.refunded()
    held = world.refund(receipt=lost.receipt)
    await world.ledger.take_refund_lease(stale, lost, MINUTE)
    world.clock.advance(2 * MINUTE)
    await world.ledger.take_refund_lease(stale, held, MINUTE)
    return [
        Step(lambda: world.ledger.release_refund_lease(stale, lost), acts=False),
        *once(*[lambda: world.ledger.release_refund_lease(stale, held)] * 2),
    ]


async def refund_recorded(world: World) -> Steps:
    stale, refund = await world.refunded()
    made = GatewayRefund(
        id="rfnd_1",
        payment_id="pay_1",
        amount=100,
        currency="INR",
        status="processed",
        receipt=refund.receipt,
    )
    record = lambda: world.ledger.record_refund(stale, made, ORIGIN)  # noqa: E731
    return once(record, record)


async def refund_refused(world: World) -> Steps:
    stale, refund = await world.refunded()
    refuse = lambda: world.ledger.refuse_refund(stale, refund, "low balance", ORIGIN)  # noqa: E731
    return once(refuse, refuse)


async def mismatch_recorded(world: World) -> Steps:
    stale = await world.payment()

    def record() -> Awaitable[object]:
        found = Mismatch(at=world.clock(), source=Source.WEBHOOK, reason="amount")
        return world.ledger.record_mismatch(stale, found)

    return once(record, record)


async def surplus_recorded(world: World) -> Steps:
    stale = await world.payment()
    record = lambda: world.ledger.record_surplus_orders(stale, ["order_2"])  # noqa: E731
    return once(record, record)


async def surplus_payment_entered(world: World) -> Steps:
    stale = await world.ordered()
    late = SurplusReason.LATE
    add = lambda: world.ledger.add_surplus(stale, captured(stale), late, ORIGIN)  # noqa: E731
    return once(add, add)


async def changed(write: Awaitable[object]) -> None:
    """Let a write be refused because the row has changed."""
    with suppress(RowChanged):
        await write


async def surplus_payment_returned(world: World) -> Steps:
    stale = await world.ordered()
    row = await world.ledger.add_surplus(stale, captured(stale), SurplusReason.LATE, ORIGIN)
    assert row is not None
    (surplus,) = row.surplus_payments

    def record(status: RefundState) -> Callable[[], Awaitable[object]]:
        store = world.ledger.record_surplus
        return lambda: changed(store(stale, surplus, status, "rfnd_1", ORIGIN))

    return once(record(RefundState.REQUESTED), record(RefundState.PROCESSED))


async def sale_ended(world: World) -> Steps:
    stale = await world.ordered()
    ledger = world.ledger
    return once(
        lambda: ledger.move(Event.CANCELLED, stale, ORIGIN),
        lambda: ledger.move(Event.CANCELLED, stale, ORIGIN),
        lambda: ledger.move(Event.EXPIRED, stale, ORIGIN),
        lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, captured(stale)),
        lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, captured(stale), late=True),
    )


async def ended(world: World) -> Payment:
    row = await world.ledger.move(Event.EXPIRED, await world.ordered(), ORIGIN)
    assert row is not None
    return row


async def late_payment_approved(world: World) -> Steps:
    stale = await ended(world)
    ledger, paid = world.ledger, captured(stale)
    approve = lambda: ledger.approve(stale, ORIGIN, paid)  # noqa: E731
    add = lambda: ledger.add_surplus(stale, paid, SurplusReason.LATE, ORIGIN)  # noqa: E731
    pay = lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, paid, late=True)  # noqa: E731
    return [*once(approve, approve, add), *once(pay, pay, add, approve)]


async def late_payment_sold_or_returned(world: World) -> Steps:
    stale = await ended(world)
    ledger, paid = world.ledger, captured(stale)
    return once(
        lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, paid, late=True),
        lambda: ledger.add_surplus(stale, paid, SurplusReason.LATE, ORIGIN),
    )


async def late_payment_returned_or_sold(world: World) -> Steps:
    stale = await ended(world)
    ledger, paid = world.ledger, captured(stale)
    return once(
        lambda: ledger.add_surplus(stale, paid, SurplusReason.LATE, ORIGIN),
        lambda: ledger.approve(stale, ORIGIN, paid),
        lambda: ledger.move(Event.CAPTURED, stale, ORIGIN, paid, late=True),
    )


async def paid_late(world: World) -> Steps:
    stale = await world.ordered()
    pay = lambda: world.ledger.move(  # noqa: E731
        Event.CAPTURED, stale, ORIGIN, captured(stale), late=True
    )
    return [
        Step(pay, acts=False),
        Step(lambda: world.ledger.move(Event.EXPIRED, stale, ORIGIN), acts=True),
        *once(pay, pay),
    ]


def dispute(world: World, **changes: Any) -> Dispute:
    at = world.clock()
    facts = {
        "dispute_id": "disp_1",
        "payment_id": "pay_1",
        "amount": 100,
        "currency": "INR",
        "phase": "chargeback",
        "status": DisputeStatus.OPEN,
        "source": Source.WEBHOOK,
        "warn_at": at,
        "created_at": at,
        "updated_at": at,
    }
    return Dispute(**{**facts, **changes})


async def dispute_recorded(world: World) -> Steps:
    stale = await world.payment(status=Status.SUCCESS, razorpay_payment_id="pay_1")
    record = world.ledger.record_dispute
    return once(
        lambda: record(stale, None, dispute(world), ORIGIN, "opened"),
        lambda: record(stale, None, dispute(world, revision=2), ORIGIN, "opened"),
    )


async def dispute_changed(world: World) -> Steps:
    known = dispute(world)
    stale = await world.payment(
        status=Status.SUCCESS, razorpay_payment_id="pay_1", disputes=[known]
    )
    record = world.ledger.record_dispute
    won, lost = DisputeStatus.WON, DisputeStatus.LOST
    return once(
        lambda: record(stale, known, dispute(world, status=won, revision=2), ORIGIN, "won"),
        lambda: record(stale, known, dispute(world, status=lost, revision=2), ORIGIN, "lost"),
    )


async def dispute_warned_of(world: World) -> Steps:
    known = dispute(world)
    stale = await world.payment(status=Status.SUCCESS, disputes=[known])
    end = lambda: world.ledger.end_warning(stale, known)  # noqa: E731
    return once(end, end)


async def payout_recorded(world: World) -> Steps:
    stale = await world.payment(status=Status.SUCCESS, razorpay_payment_id="pay_1")
    sums = {"credit": 980, "debit": 0, "fee": 20, "tax": 3}
    payout = Payout(settlement_id="setl_1", entity_id="pay_1", type="payment", **sums)
    record = lambda: world.ledger.record_payout(stale, payout)  # noqa: E731
    return once(record, record)


async def payouts_withdrawn(world: World) -> Steps:
    stale = await world.payment(status=Status.SUCCESS, razorpay_payment_id="pay_1")
    sums = {"credit": 980, "debit": 0, "fee": 20, "tax": 3}
    payout = Payout(settlement_id="setl_1", entity_id="pay_1", type="payment", **sums)
    await world.ledger.record_payout(stale, payout)
    withdraw = lambda: world.ledger.withdraw_payouts(stale, "setl_1")  # noqa: E731
    return once(withdraw, withdraw)


async def key_of_a_rebuilt_payment(world: World) -> Steps:
    rebuilt = await world.payment()
    key_hash = hash_key(rebuilt.user_id, "key")
    await world.ledger.update_where({"id": rebuilt.pk}, set__key_hash=key_hash)

    def claim() -> Awaitable[object]:
        facts = {"amount": 1000, "currency": "INR", "service_type": "CONSULTATION"}
        draft = Payment(
            user_id=rebuilt.user_id,
            idempotency_key="key",
            reference_id=f"PAY_{ObjectId()}",
            created_at=world.clock(),
            **facts,
        )
        return world.ledger.claim(draft, ORIGIN)

    return once(claim, claim)


async def night_repeated(world: World) -> Steps:
    at = world.clock()
    await world.reports.request_night("2026-01-30", at - MINUTE, at)
    (stale,) = (await world.reports.nights("2026-01-30")).values()
    queue = world.reports.queue
    (report,) = await queue.claim()
    repeat = lambda: world.reports.repeat_night(stale, at - MINUTE, at, at)  # noqa: E731
    assert report.night == stale.night
    return [Step(repeat, acts=False)]


async def finding_dropped(world: World) -> Steps:
    report_id = ObjectId()
    found = Finding(report_id=report_id, kind=Kind.FEE, order_id="order_1")
    worked_on = await world.findings.put(found)
    await world.findings.record_repair(found, "somebody", "done", is_repaired=False)
    other = await world.findings.put(
        Finding(report_id=report_id, kind=Kind.FEE, order_id="order_2")
    )
    assert worked_on != other
    drop = lambda: world.findings.drop_others(report_id, [])  # noqa: E731
    return once(drop, drop)


async def settlement_kept(world: World) -> Steps:
    def line(amount: int | None) -> BankSettlement:
        at = world.clock()
        return BankSettlement(
            settlement_id="setl_1", status="processed", amount=amount, settled_at=at, utr="u"
        )

    keep = world.settlements.keep
    await keep(line(None), is_current=False)
    first, again = line(100), line(100)
    return [
        *once(lambda: keep(first, is_current=True), lambda: keep(again, is_current=False)),
        Step(lambda: keep(line(90), is_current=False), acts=False),
    ]


async def settlement_added_up(world: World) -> Steps:
    at = world.clock()
    line = BankSettlement(settlement_id="setl_2", status="processed", amount=100, settled_at=at)
    await world.settlements.keep(line, is_current=True)
    stale = await world.settlements.get(settlement_id="setl_2")
    record = world.settlements.record_sums
    return once(
        lambda: record(stale, Sums(rows=2, credit=100), []),
        lambda: changed(record(stale, Sums(rows=1, credit=60), [])),
    )


async def payment_told_of(world: World) -> Steps:
    told = await world.ordered()
    row_id = str(told.pk)
    await world.ledger.move(Event.DECLINED, told, ORIGIN)
    await world.ledger.move(Event.CAPTURED, told, ORIGIN, captured(told))
    end = world.ledger.end_announcement
    return [
        Step(lambda: end([row_id], 1), acts=False),
        *once(lambda: end([row_id], 2), lambda: end([row_id], 2)),
        Step(lambda: world.ledger.put_off_announcement([row_id], world.clock()), acts=False),
    ]


async def untold_payment_marked(world: World) -> Steps:
    start = world.clock()
    untold = await world.ordered()
    await world.ledger.move(Event.DECLINED, untold, ORIGIN)
    await world.forget_marker(untold)
    mark = lambda: world.ledger.mark_untold(start, start + MINUTE, start)  # noqa: E731
    return once(mark, mark)


async def report_told_of(world: World) -> Steps:
    start = world.clock()
    report = await world.reports.request(start, start + MINUTE, "test")
    await world.reports.finish(report, {}, {}, [])
    first = world.clock()
    world.clock.advance(MINUTE)
    await world.reports.finish(report, {}, {}, [])
    again = world.clock()
    end = world.reports.end_announcement
    row_ids = [str(report.pk)]
    return [
        Step(lambda: end(row_ids, first), acts=False),
        *once(lambda: end(row_ids, again), lambda: end(row_ids, again)),
    ]


async def email_verified(world: World) -> Steps:
    stale = await world.user()
    await world.accounts.update_where({"id": stale.pk}, set__email=f"{ObjectId()}@example.com")
    return [Step(lambda: world.accounts.verify_email(stale), acts=False)]


async def mobile_verified(world: World) -> Steps:
    stale = await world.user(country_code="+91", mobile_number=9876543210)
    await world.accounts.update_where({"id": stale.pk}, set__mobile_number=9876543211)
    return [Step(lambda: world.accounts.verify_mobile(stale), acts=False)]


async def password_replaced(world: World) -> Steps:
    stale = await world.user()
    return once(
        lambda: world.accounts.replace_password(stale, "second"),
        lambda: world.accounts.replace_password(stale, "third"),
    )


async def sign_in_recorded(world: World) -> Steps:
    stale = await world.user()
    return once(
        lambda: world.accounts.record_sign_in(stale, "one", "second"),
        lambda: world.accounts.record_sign_in(stale, "two", "third"),
    )


async def standing_changed(world: World) -> Steps:
    stale = await world.user()
    change = world.accounts.change_standing
    return once(
        lambda: change(stale, Role.USER, UserStatus.ACTIVE),
        lambda: change(stale, Role.PROVIDER, UserStatus.INACTIVE),
    )


async def approval_changed(world: World) -> Steps:
    stale = await world.user()
    approve = lambda: world.accounts.change_approval(stale, approved=True)  # noqa: E731
    return once(approve, approve)


async def key_ended(world: World) -> Steps:
    stale = await world.key()
    return once(
        lambda: world.keys.revoke(stale, EndReason.REVOKED),
        lambda: world.keys.revoke(stale, EndReason.ACCOUNT_CHANGED),
        lambda: world.keys.revoke_unless_adopted(stale),
        lambda: world.keys.adopt(stale, str(ObjectId())),
    )


async def key_adopted_before_it_was_ended(world: World) -> Steps:
    stale = await world.key()
    return once(
        lambda: world.keys.adopt(stale, str(ObjectId())),
        lambda: world.keys.revoke_unless_adopted(stale),
    )


async def key_used(world: World) -> Steps:
    key = await world.key()
    use = lambda: world.keys.record_use(str(key.pk), MINUTE)  # noqa: E731
    return once(use, use)


async def session_rotated(world: World) -> Steps:
    stale = await world.session()
    later = world.clock() + timedelta(days=1)
    return once(
        lambda: world.sessions.rotate(stale, "second", later),
        lambda: world.sessions.rotate(stale, "third", later),
    )


async def session_ended(world: World) -> Steps:
    stale = await world.session()
    end = lambda: world.sessions.end(str(stale.user_id), stale.pk)  # noqa: E731
    touch = lambda: world.sessions.touch(str(stale.user_id), stale.pk)  # noqa: E731
    prove = lambda: world.sessions.prove(str(stale.user_id), stale.pk)  # noqa: E731
    return once(end, end, touch, prove)


async def second_factor_used(world: World) -> Steps:
    user_id = ObjectId()
    hashes = ["0" * 64, "1" * 64]
    await world.second_factors.add(
        SecondFactor(id=user_id, sealed=b"", last_step=1, recovery_hashes=hashes)
    )
    factors, owner = world.second_factors, str(user_id)
    return [
        Step(lambda: factors.use_step(owner, 3, None), True),
        Step(lambda: factors.use_step(owner, 3, b"renewed"), False),
        Step(lambda: factors.use_step(owner, 2, None), False),
        Step(lambda: factors.use_recovery_code(owner, hashes[0]), True),
        Step(lambda: factors.use_recovery_code(owner, hashes[0]), False),
    ]


async def code_replaced(world: World) -> Steps:
    name = f"email:{ObjectId()}"

    def replace(digest: str) -> Callable[[], Awaitable[object]]:
        return lambda: world.codes.replace(
            [name],
            digest,
            Policy(digits=6, lifetime=10 * MINUTE, max_issued=5, period=timedelta(days=1)),
        )

    spend = lambda: world.codes.spend(name, "first")  # noqa: E731
    count = lambda: world.codes.count_attempt([name], 1)  # noqa: E731
    return [
        *once(replace("first"), replace("second")),
        *once(count, count),
        *once(spend, spend, count),
    ]


async def event_ended(world: World) -> Steps:
    stale = await world.event(EventStatus.PARKED)
    end = lambda: world.events.end(stale.event_id, "no order of ours")  # noqa: E731
    return once(end, end)


async def event_ended_that_is_not_parked(world: World) -> Steps:
    stale = await world.event(EventStatus.PENDING)
    return [Step(lambda: world.events.end(stale.event_id, "no order of ours"), acts=False)]


async def report_claimed(world: World) -> Steps:
    await world.reports.request(world.clock() - MINUTE, world.clock(), "somebody")
    (stale,) = await world.reports.list(state=ReportState.REQUESTED)
    queue = world.reports.queue
    return once(lambda: queue.take_lease(stale), lambda: queue.take_lease(stale))


async def report_held_by_its_loser(world: World) -> Steps:
    await world.reports.request(world.clock() - MINUTE, world.clock(), "somebody")
    queue = world.reports.queue
    (lost,) = await queue.claim()
    world.clock.advance(timedelta(hours=2))
    (held,) = await queue.claim()
    return [
        Step(lambda: queue.extend(lost), acts=False),
        Step(lambda: queue.fail(lost, "too late"), acts=False),
        Step(lambda: queue.park(lost, "too late"), acts=False),
        Step(lambda: queue.extend(held), acts=True),
        *once(lambda: queue.park(held, "the end"), lambda: queue.park(held, "the end")),
    ]


async def check_paused_by_its_loser(world: World) -> Steps:
    await world.payment()
    queue = world.ledger.unpaid
    (lost,) = await queue.claim()
    world.clock.advance(timedelta(hours=2))
    (held,) = await queue.claim()
    return [
        Step(lambda: queue.pause(lost), acts=False),
        *once(lambda: queue.pause(held), lambda: queue.pause(held)),
    ]


def _lock(seconds: float) -> Lock:
    return Lock(database(), "stale", timedelta(seconds=seconds))


async def lock_taken(world: World) -> Steps:
    first, second = _lock(60), _lock(60)
    run = world.mongo.run
    return once(lambda: run(first.take), lambda: run(second.take), lambda: run(second.extend))


async def lock_released_by_its_loser(world: World) -> Steps:
    lost, held = _lock(-60), _lock(60)
    run = world.mongo.run
    await run(lost.take)
    await run(held.take)
    return [
        Step(lambda: run(lost.extend), acts=False),
        Step(lambda: run(lost.release), acts=False),
        *once(lambda: run(held.release), lambda: run(lost.release)),
    ]


_LEDGER = "payments.ledger.PaymentLedger."
_PAYOUTS = "payments.payout_ledger.PayoutLedger."
_SURPLUS = "payments.surplus_ledger.SurplusLedger."
_REFUNDS = "payments.refund_ledger.RefundLedger."
_DISPATCH = "deliveries.dispatch.repository."
_QUEUE = "storage.queue.Queue."
_FACTORS = "sessions.second_factor.repository.SecondFactorRepository."


async def endpoint_changed(world: World) -> Steps:
    row = await world.endpoint()
    return once(*(lambda n=n: world.endpoints.change(row, description=f"{n}") for n in range(2)))


async def endpoint_switched_on(world: World) -> Steps:
    row = await world.endpoint(state=EndpointState.OFF)
    return once(*[lambda: world.endpoints.switch_on(str(row.pk), None, row.keeper)] * 2)


async def endpoint_switched_off(world: World) -> Steps:
    row = await world.endpoint()
    return once(*[lambda: world.endpoints.switch_off(str(row.pk), None)] * 2)


async def endpoint_removed(world: World) -> Steps:
    row = await world.endpoint()
    return once(*[lambda: world.endpoints.remove(str(row.pk), None)] * 2)


async def endpoints_of_account_removed(world: World) -> Steps:
    owner = str(ObjectId())
    await world.endpoint(owner=owner)
    await world.endpoint(owner=owner, state=EndpointState.DISABLED)
    await world.endpoint(owner=str(ObjectId()))
    return once(*[lambda: world.endpoints.remove_all_of(owner)] * 2)


async def removed_endpoint_deleted(world: World) -> Steps:
    row = await world.endpoint()
    removed = lambda: world.endpoints.remove(str(row.pk), None)  # noqa: E731
    delete = lambda: world.endpoints.delete(row)  # noqa: E731
    return [Step(delete, False), Step(removed, True), Step(delete, True), Step(delete, False)]


async def endpoint_disabled(world: World) -> Steps:
    row = await world.endpoint()
    return once(
        lambda: world.endpoints.disable(row.pk, "account_changed"),
        lambda: world.dispatch_endpoints.disable(str(row.pk), "failing"),
    )


async def endpoint_disabled_by_its_answer(world: World) -> Steps:
    row = await world.endpoint()
    return once(
        lambda: world.dispatch_endpoints.disable(str(row.pk), "gone"),
        lambda: world.endpoints.disable(row.pk, "account_changed"),
    )


async def keeper_told(world: World) -> Steps:
    row = await world.endpoint(notice_at=world.clock(), state=EndpointState.DISABLED)
    return once(*[lambda: world.endpoints.note_notice(row)] * 2)


async def endpoint_leased(world: World) -> Steps:
    name = str((await world.endpoint()).pk)
    hour = timedelta(hours=1)
    return once(*(lambda w=w: world.dispatch_endpoints.extend(w, [name], hour) for w in ("a", "b")))


async def endpoint_released_by_its_loser(world: World) -> Steps:
    name = str((await world.endpoint()).pk)
    await world.dispatch_endpoints.extend("a", [name], timedelta(hours=1))
    return [
        Step(lambda: world.dispatch_endpoints.release("b", [name]), False),
        Step(lambda: world.dispatch_endpoints.release("a", [name]), True),
        Step(lambda: world.dispatch_endpoints.release("a", [name]), False),
    ]


async def paper(world: World) -> Paper:
    at = world.clock()
    name = str(ObjectId())
    return await world.papers.issue(
        Paper(
            id=name,
            payment_id=ObjectId(),
            kind=PaperKind.RECEIPT,
            series=name,
            at=at,
            code=name,
            seller="Shop",
            mail_at=at,
        )
    )


async def paper_taken(world: World) -> Steps:
    row, later = await paper(world), world.clock() + timedelta(minutes=5)
    return once(*[lambda: world.papers.take_mail(row, later)] * 2)


async def paper_mailed_by_its_loser(world: World) -> Steps:
    row = await paper(world)
    taken = await world.papers.take_mail(row, world.clock() + timedelta(minutes=5))
    assert taken is not None
    return [
        Step(lambda: world.papers.end_mail(row), False),
        Step(lambda: world.papers.end_mail(taken), True),
        Step(lambda: world.papers.end_mail(taken), False),
    ]


async def day_read_by_a_loser(world: World) -> Steps:
    """A read that had begun before another one was asked for: what it has found is stored, but the other one is due."""
    at = world.clock()
    await world.days.read_again("2026-01-30", at)
    (stale,) = await world.days.list(day="2026-01-30")
    await world.days.read_again("2026-01-30", at + MINUTE)

    async def due_at() -> datetime:
        await world.days.finish(stale, 0, None)
        (row,) = await world.days.list(day="2026-01-30")
        assert row.is_open
        return row.due_at

    return [Step(due_at, True)]


async def customer_changed(world: World) -> Steps:
    made = {"shop_id": ObjectId(), "reference": "c-1", "name": "Ravi"}
    stale = await world.customers.add(Customer(**made))
    change = lambda: world.customers.change(stale, {"name": None})  # noqa: E731
    return once(change, change)


async def customer_erased(world: World) -> Steps:
    stale = await world.customers.add(Customer(shop_id=ObjectId(), name="Ravi"))
    erase = lambda: world.customers.erase(str(stale.pk), str(stale.shop_id), {"name": None})  # noqa: E731
    change = lambda: world.customers.change(stale, {"name": "Back"})  # noqa: E731
    return once(erase, erase, change)


async def customer_merged(world: World) -> Steps:
    made = {"shop_id": ObjectId(), "name": "Ravi"}
    stale, kept, other = [await world.customers.add(Customer(**made)) for _ in range(3)]
    merge = lambda: world.customers.merge(stale, kept, {"name": None})  # noqa: E731
    return [
        *once(merge, merge),
        Step(lambda: world.customers.begin_merge(stale), acts=False),
        Step(lambda: world.customers.change(stale, {"name": "Back"}), acts=False),
        Step(lambda: world.customers.begin_merge(kept), acts=True),
        Step(lambda: world.customers.merge(kept, other, {"name": None}), acts=False),
    ]


async def claim_stale(world: World) -> Steps:
    made = {"shop_id": ObjectId(), "email": "ravi@example.com"}
    stale = await world.customers.add(Customer(**made))
    mine, other = str(ObjectId()), str(ObjectId())
    grant = lambda: world.claims.grant(stale, mine)  # noqa: E731
    return [
        Step(lambda: world.claims.end(stale), acts=False),
        Step(grant, acts=False),
        Step(lambda: world.claims.claim(stale, mine), acts=True),
        Step(lambda: world.claims.grant(stale, other), acts=False),
        *once(grant, grant),
        Step(lambda: world.claims.claim(stale, other), acts=False),
        *once(lambda: world.claims.end(stale), lambda: world.claims.end(stale)),
    ]


async def parts_erased(world: World) -> Steps:
    shop_id = ObjectId()
    kept = await world.customers.add(Customer(shop_id=shop_id))
    part = await world.customers.add(Customer(shop_id=shop_id, merged_into=kept.pk, reference="1"))
    await world.customers.add(Customer(shop_id=shop_id, merged_into=part.pk, reference="2"))
    erase = lambda: world.customers.erase_parts(str(kept.pk), str(shop_id), {"reference": None})  # noqa: E731
    return once(erase, erase)


async def merges_shortened(world: World) -> Steps:
    shop_id = ObjectId()
    merged, kept = [await world.customers.add(Customer(shop_id=shop_id)) for _ in range(2)]
    await world.customers.add(Customer(shop_id=shop_id, merged_into=merged.pk))
    shorten = lambda: world.customers.shorten(merged, kept)  # noqa: E731
    return once(shorten, shorten)


async def payments_reassigned(world: World) -> Steps:
    old, kept = ObjectId(), ObjectId()
    payment = await world.payment(customer_id=old)
    reassign = lambda: world.ledger.reassign(str(payment.user_id), str(old), str(kept))  # noqa: E731
    return once(reassign, reassign)


async def import_noted(world: World) -> Steps:
    words = {"service": "express", "amount": "500", "unit": "rupees", "proof": "order"}
    stale = await world.payment(former=Former(**words))
    at, note = world.clock(), world.ledger.note_import
    return once(
        lambda: note(stale, Former(**words, seen="first"), at, at),
        lambda: note(stale, Former(**words, seen="second"), None, None),
    )


async def import_corrected(world: World) -> Steps:
    words = {"service": "express", "amount": "500", "unit": "rupees", "proof": "operator"}
    stale = await world.payment(former=Former(**words))
    correct = world.ledger.correct_imported
    return once(
        lambda: correct(stale, Former(**words), stale.amount * 100, None),
        lambda: correct(stale, Former(**words), stale.amount + 1, None),
    )


async def delivery_noted(world: World) -> Steps:
    at = world.clock()
    name = str(ObjectId())
    delivery = Delivery(
        id=f"evt_{name}_0_0a1b2c3d:{name}",
        endpoint_id=name,
        event_id=f"evt_{name}_0_0a1b2c3d",
        subject="PAY_1",
        seq=0,
        type=EventType.PAYMENT_CREATED,
        next_at=at,
    )
    await world.deliveries.add(delivery)
    (row,) = await world.due.list_due([name], 10)
    done = Note(row, DeliveryState.DONE, at, outcome=Outcome(Verdict.DELIVERED, at, 5, 200))
    failed = Note(row, DeliveryState.PENDING, at, at, Outcome(Verdict.FAILED, at, 5, 500))
    return once(lambda: world.due.note([done]), lambda: world.due.note([failed]))


_CLAIMS = "payments.claims.repository.ClaimRepository."
CASES: dict[str, tuple[Callable[[World], Awaitable[Steps]], ...]] = {
    f"{_LEDGER}take_order_lease": (order_lease_taken, order_lease_taken_of_ordered),
    f"{_LEDGER}release_order_lease": (order_lease_released_by_its_loser,),
    f"{_LEDGER}attach_order": (order_attached,),
    "payments.import_ledger.ImportLedger.note_import": (import_noted,),
    "payments.import_ledger.ImportLedger.correct_imported": (import_corrected,),
    "payments.move_ledger.MoveLedger._write": (
        moved,
        sale_ended,
        paid_late,
        late_payment_returned_or_sold,
    ),
    f"{_SURPLUS}approve": (late_payment_approved,),
    f"{_LEDGER}record_authorization": (authorization_recorded, authorization_of_a_paid_one),
    f"{_REFUNDS}reserve_refund": (refund_reserved,),
    f"{_REFUNDS}_change_refund": (refund_lease_taken, refund_lease_released_by_its_loser),
    f"{_REFUNDS}_update": (
        refund_recorded,
        refund_refused,
        surplus_payment_entered,
        surplus_payment_returned,
        late_payment_sold_or_returned,
    ),
    f"{_LEDGER}record_dispute": (dispute_recorded, dispute_changed),
    f"{_LEDGER}end_warning": (dispute_warned_of,),
    "storage.announcing.Announcing._update_announcements": (
        payment_told_of,
        untold_payment_marked,
        report_told_of,
    ),
    f"{_PAYOUTS}_update_payouts": (payout_recorded, payouts_withdrawn),
    f"{_LEDGER}_adopt_rebuilt": (key_of_a_rebuilt_payment,),
    "reconciliation.repository.ReportRepository.repeat_night": (night_repeated,),
    "reconciliation.repository.FindingRepository.drop_others": (finding_dropped,),
    "settlements.days.repository.SettlementDayRepository.finish": (day_read_by_a_loser,),
    "settlements.repository.SettlementRepository.keep": (settlement_kept,),
    "settlements.repository.SettlementRepository.record_sums": (settlement_added_up,),
    f"{_LEDGER}record_mismatch": (mismatch_recorded,),
    f"{_SURPLUS}record_surplus_orders": (surplus_recorded,),
    "users.repository.UserRepository._update": (
        email_verified,
        mobile_verified,
        password_replaced,
        standing_changed,
        approval_changed,
    ),
    "users.repository.UserRepository.record_sign_in": (sign_in_recorded,),
    "apikeys.repository.ApiKeyRepository._change_live": (
        key_ended,
        key_adopted_before_it_was_ended,
    ),
    "apikeys.repository.ApiKeyRepository.record_use": (key_used,),
    "sessions.repository.SessionRepository.rotate": (session_rotated,),
    "sessions.repository.SessionRepository.touch": (session_ended,),
    "sessions.repository.SessionRepository.prove": (session_ended,),
    "sessions.repository.SessionRepository.end": (session_ended,),
    f"{_FACTORS}use_step": (second_factor_used,),
    f"{_FACTORS}use_recovery_code": (second_factor_used,),
    "verification.repository.CodeRepository.replace": (code_replaced,),
    "verification.repository.CodeRepository.count_attempt": (code_replaced,),
    "verification.repository.CodeRepository.spend": (code_replaced,),
    "webhooks.repository.WebhookRepository.end": (event_ended, event_ended_that_is_not_parked),
    "customers.repository.CustomerRepository.change": (customer_changed,),
    "customers.repository.CustomerRepository.erase": (customer_erased,),
    "customers.repository.CustomerRepository.erase_parts": (parts_erased,),
    "customers.repository.CustomerRepository.begin_merge": (customer_merged,),
    "customers.repository.CustomerRepository.merge": (customer_merged,),
    "customers.repository.CustomerRepository.shorten": (merges_shortened,),
    f"{_CLAIMS}claim": (claim_stale,),
    f"{_CLAIMS}grant": (claim_stale,),
    f"{_CLAIMS}end": (claim_stale,),
    "payments.customer_ledger.CustomerLedger.reassign": (payments_reassigned,),
    "deliveries.endpoints.repository.EndpointRepository.change": (endpoint_changed,),
    "deliveries.endpoints.repository.EndpointRepository.switch_on": (endpoint_switched_on,),
    "deliveries.endpoints.repository.EndpointRepository.switch_off": (endpoint_switched_off,),
    "deliveries.endpoints.repository.EndpointRepository.remove": (endpoint_removed,),
    "deliveries.endpoints.repository.EndpointRepository.remove_all_of": (
        endpoints_of_account_removed,
    ),
    "deliveries.endpoints.repository.EndpointRepository.delete": (removed_endpoint_deleted,),
    "deliveries.endpoints.repository.EndpointRepository.disable": (endpoint_disabled,),
    "deliveries.endpoints.repository.EndpointRepository.note_notice": (keeper_told,),
    "payments.documents.repository.PaperRepository.take_mail": (paper_taken,),
    "payments.documents.repository.PaperRepository.end_mail": (paper_mailed_by_its_loser,),
    f"{_DISPATCH}DispatchEndpointRepository.disable": (endpoint_disabled_by_its_answer,),
    f"{_DISPATCH}DispatchEndpointRepository.extend": (endpoint_leased,),
    f"{_DISPATCH}DispatchEndpointRepository.release": (endpoint_released_by_its_loser,),
    f"{_DISPATCH}DueRepository.note": (delivery_noted,),
    f"{_QUEUE}_update": (report_claimed, report_held_by_its_loser, check_paused_by_its_loser),
    "storage.locks.Lock.take": (lock_taken,),
    "storage.locks.Lock.release": (lock_released_by_its_loser,),
    "storage.locks.Lock._extend_where": (lock_taken, lock_released_by_its_loser),
}
_SUMS = "payments.insights.sums.repository.InsightSumRepository."
_PROGRESS = "payments.insights.sums.progress.repository.ProgressRepository."
UNCONDITIONAL: dict[str, str] = {
    f"{_SUMS}note_changes": "only counts up, and a count too many costs an addition",
    f"{_SUMS}note_all_changed": "likewise",
    f"{_SUMS}_recount": "tests/money/test_insight_sums.py has a keeper that was suspended",
    f"{_SUMS}_begin": "inserts what is not there",
    f"{_SUMS}_check": "tests/money/test_insight_sums.py has changes under way",
    f"{_PROGRESS}looked_until": "inserts what is not there",
    f"{_PROGRESS}note_look": "never goes back",
    f"{_PROGRESS}note": "what is done twice is there already",
    "payments.insights.sums.holds.repository.HoldRepository.release": "ends the caller's own hold",
    f"{_DISPATCH}DispatchEndpointRepository.note_health": "says how it has answered just now",
    f"{_DISPATCH}DueRepository.put_off": "only says when to look at a waiting row again",
    "deliveries.repository.DeliveryRepository.replay": "is sent again, whatever became of it",
    "deliveries.repository.DeliveryRepository.end_waiting": "only says when to look at a waiting row again",
    "deliveries.repository.DeliveryRepository.forget_answers": "what is personal goes, whatever came meanwhile",
    "deliveries.events.repository.EventRepository.replace_bodies": "stores the same again, without texts",
    "deliveries.repository.DeliveryRepository.delete_some": "deletes what a removed endpoint had",
    "payments.exports.jobs.repository.ExportJobRepository.note_progress": "only shows how far it is",
    "gateway.calls.repository.GatewayCallRepository.forget": "deletes whatever is there about them",
    f"{_LEDGER}record_fee": "stores what the gateway says now; a repeat stores the same",
    f"{_FACTORS}remove": "whoever may remove it means whatever is there",
    "users.repository.UserRepository.record_refresh": "the newest sign-in wins",
    "express_import.checkpoints.repository.CheckpointRepository.finish": "of two imports, the one that ends last",
    "reconciliation.repository.FindingRepository.record_repair": "the newest outcome wins",
    "reconciliation.repository.FindingRepository.put": "its id follows from what it says",
    "settlements.days.repository.SettlementDayRepository.read_again": "a repeat makes the same day due",
    "settlements.sums.repository.SettlementSumRepository._write": "whoever stores sums adds up once more",
    "settlements.repository.SettlementRowRepository._write": "rows are unique; later facts fill gaps",
    "settlements.repository.SettlementRowRepository.note_payment": "stores the same again",
    "settlements.repository.SettlementRowRepository.forget_payments": "stores the same again",
    "storage.relay_notes.RelayNotes.note_look": "the latest look stays",
    "storage.relay_notes.RelayNotes._row": "is born once, and stays as it was born",
    f"{_QUEUE}finish": "what was done is done, whoever holds the row now",
    f"{_QUEUE}_list_due": "lets a row rest that nobody can read",
    "storage.pending_evictions.MongoPendingEvictions._delete": "deletes by id what is done",
    "commands.doctor.stores._majority": "deletes nothing, to wait for a majority",
}
