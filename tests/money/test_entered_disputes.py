"""How news of a dispute are entered, case by case, over a gateway in memory."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from msgspec.structs import replace

from kernapay.core.errors import NotFound
from kernapay.gateway.base import GatewayDispute, GatewayPayment
from kernapay.payments.disputes.deadlines import DisputeDeadlines
from kernapay.payments.disputes.service import DisputeInFlux, DisputeService
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.outcomes import Outcome, UnknownOrder
from kernapay.payments.returns import sum_held
from kernapay.payments.states import DisputeStatus, Event, Source, Status
from kernapay.security.principal import Principal, Role
from tests.money.desk import ADMIN, AMOUNT, Desk, counted

pytestmark = pytest.mark.anyio


def principal(role: Role, account: ObjectId | None = None) -> Principal:
    return Principal(id=str(account or ObjectId()), role=role, session_id="disputes")


class Losing(PaymentLedger):
    """The ledger of a process that others are always, or `losses` times, a moment ahead of."""

    losses = 1_000
    attempts = 0

    async def record_dispute(self, *changes: Any) -> Payment | None:
        self.attempts += 1
        if self.attempts <= self.losses:
            return None
        return await super().record_dispute(*changes)


def losing(desk: Desk) -> tuple[DisputeService, Losing]:
    services = desk.services
    ledger = Losing(
        services.mongo, services.payment_repository, services.lifetimes, services.payment_signals
    )
    return (
        DisputeService(
            services.payment_repository,
            services.dispute_repository,
            ledger,
            services.settlement,
            desk.gateway,
            desk.clock,
        ),
        ledger,
    )


def raised(desk: Desk, paid: GatewayPayment, amount: int = 30_000) -> GatewayDispute:
    return desk.gateway.dispute(paid.id, amount, "chargeback")


def decided(desk: Desk, dispute: GatewayDispute, status: str = "lost") -> GatewayDispute:
    deducted = dispute.amount if status == "lost" else 0
    changed = replace(dispute, status=status, amount_deducted=deducted)
    return desk.gateway.move_dispute(status, changed)


async def hear(
    desk: Desk, dispute: GatewayDispute, name: str | None = None, *, after: int | None = 0
) -> Outcome:
    """Bring the event of a dispute's state, so many seconds from now."""
    named = name or {"open": "created"}.get(dispute.status, dispute.status)
    origin = Origin(Source.WEBHOOK, f"payment.dispute.{named}", event_id="evt_9", actor="gateway")
    at = None if after is None else int(desk.clock().timestamp()) + after
    return await desk.services.dispute_service.apply_event(dispute, origin, at)


async def entries(desk: Desk, payment: Payment) -> list[tuple[str, str, str]]:
    found = (await desk.row(payment)).disputes
    return [(each.dispute_id, each.status.value, each.source.value) for each in found]


async def test_an_event_is_entered_once_and_leaves_one_step(desk: Desk) -> None:
    payment, paid = await desk.sold()
    dispute = raised(desk, paid)
    desk.gateway.fetched = 0

    assert await hear(desk, dispute) is Outcome.MOVED
    assert await hear(desk, dispute) is Outcome.UNCHANGED

    row = await desk.row(payment)
    (entry,) = row.disputes
    assert (entry.dispute_id, entry.held, entry.updated_at, entry.as_of) == (
        *(dispute.id, 30_000, desk.clock(), int(desk.clock().timestamp())),
    )
    assert len(row.history) == 3
    step = row.history[-1]
    assert (step.status, step.source, step.event, step.event_id, step.actor) == (
        *("success", "webhook", "payment.dispute.created", "evt_9", "gateway"),
    )
    assert step.reason == f"dispute {dispute.id} open: chargeback, 30000"
    assert desk.gateway.fetched == 0, "what it says of the payment is known"
    assert await hear(desk, decided(desk, dispute, "won"), after=1) is Outcome.MOVED
    assert await entries(desk, payment) == [(dispute.id, "won", "webhook")]


async def test_where_the_event_does_not_decide_the_gateways_word_is_stored(desk: Desk) -> None:
    payment, paid = await desk.sold()
    dispute = raised(desk, paid)
    decided(desk, dispute)
    assert await hear(desk, dispute, "under_review", after=7) is Outcome.MOVED
    (entry,) = (await desk.row(payment)).disputes
    assert (entry.status, entry.source, entry.as_of) == (
        *("lost", Source.RECONCILIATION, int(desk.clock().timestamp()) + 7),
    )


@pytest.mark.parametrize("answer", ["none", "another dispute", "another payment"])
async def test_of_what_the_gateway_does_not_show_the_event_is_believed(
    desk: Desk, answer: str
) -> None:
    payment, paid = await desk.sold()
    dispute = raised(desk, paid)
    shown = decided(desk, dispute)
    if answer == "none":
        desk.gateway.disputes.clear()
    elif answer == "another dispute":
        desk.gateway.disputes[dispute.id] = replace(shown, id="disp_other")
    else:
        desk.gateway.disputes[dispute.id] = replace(shown, payment_id="pay_other")
    assert await hear(desk, dispute, "under_review") is Outcome.MOVED
    assert await entries(desk, payment) == [(dispute.id, "open", "webhook")]


async def test_the_night_and_a_person_ask_for_a_dispute_by_its_id(desk: Desk) -> None:
    payment, paid = await desk.sold()
    dispute = raised(desk, paid)
    refresh = desk.services.dispute_service.refresh
    assert await refresh(dispute.id, ADMIN) is Outcome.MOVED
    assert await refresh(dispute.id, ADMIN) is Outcome.UNCHANGED
    row = await desk.row(payment)
    assert await entries(desk, payment) == [(dispute.id, "open", "reconciliation")]
    step = row.history[-1]
    assert (step.source, step.event, step.actor) == (
        *("reconciliation", "payment.dispute.checked", ADMIN),
    )


@pytest.mark.parametrize("losses", [4, 5])
async def test_a_writer_that_others_overtake_tries_five_times(desk: Desk, losses: int) -> None:
    payment, paid = await desk.sold()
    dispute = raised(desk, paid)
    service, ledger = losing(desk)
    ledger.losses = losses
    origin = Origin(Source.WEBHOOK, "payment.dispute.created")
    if losses == 4:
        assert await service.apply_event(dispute, origin, 1) is Outcome.MOVED
        return
    with pytest.raises(DisputeInFlux) as refused:
        await service.apply_event(dispute, origin, 1)
    assert (ledger.attempts, refused.value.retry_after) == (5, 1)
    assert await entries(desk, payment) == []


class TestPayments:
    """Which payment a dispute is about, and what it tells of that."""

    async def test_a_dispute_brings_a_capture_of_which_nobody_heard_with_its_refunds(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        # The row names the payment since its first attempt, which failed.
        attempt = desk.pay(payment, "failed")
        await desk.settle(Event.DECLINED, attempt)
        desk.gateway.authorize_late(attempt.id)
        refund = desk.gateway.refund_now(attempt.id, 700, None)

        assert await hear(desk, raised(desk, attempt)) is Outcome.MOVED

        row = await desk.row(payment)
        assert (row.status, row.razorpay_payment_id) == (Status.SUCCESS, attempt.id)
        assert [each.refund_id for each in row.refunds] == [refund.id]
        assert len(row.disputes) == 1

    async def test_only_of_what_was_refunded_the_gateway_is_asked_for_refunds(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        await hear(desk, raised(desk, paid))
        assert (await desk.row(payment)).status is Status.SUCCESS
        assert desk.gateway.asked_for_refunds == 0

    async def test_what_was_not_captured_is_not_sold_by_a_dispute(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.pay(payment, "authorized")
        assert await hear(desk, raised(desk, attempt)) is Outcome.MOVED
        row = await desk.row(payment)
        assert (row.status, len(row.disputes)) == (Status.PENDING, 1)
        assert desk.gateway.asked_for_refunds == 0

    async def test_one_about_money_of_a_second_order_is_kept_and_holds_nothing_of_the_first(
        self, desk: Desk
    ) -> None:
        payment, _ = await desk.sold()
        other = desk.gateway.attempt((await desk.order(payment)).id, "captured")
        assert other is not None
        dispute = raised(desk, other)
        for after in (0, 1):
            desk.gateway.fetched = 0
            assert await hear(desk, dispute, after=after) is Outcome.MOVED
        assert desk.gateway.fetched == 0, "the second time, its payment is known by the dispute"
        row = await desk.row(payment)
        assert [(each.dispute_id, each.payment_id) for each in row.disputes] == [
            (dispute.id, other.id)
        ]
        assert (sum_held(row), sum_held(row, other.id)) == (0, 30_000)

    async def test_one_about_a_foreign_payment_is_nobodys(self, desk: Desk) -> None:
        order = await desk.gateway.create_order(amount=1, currency="INR", receipt="T_1", notes={})
        foreign = desk.gateway.attempt(order.id, "captured")
        assert foreign is not None
        with pytest.raises(UnknownOrder):
            await hear(desk, raised(desk, foreign, 1))


class TestDoubleReturns:
    """What went back to the customer twice is told to a person."""

    def count(self) -> float:
        return counted("kernapay_payment_mismatches_total", source="webhook")

    async def refund(self, desk: Desk, paid: GatewayPayment, amount: int) -> None:
        refund = desk.gateway.refund_now(paid.id, amount, None)
        await desk.settle(None, paid, refund=refund)

    async def test_it_is_told_once_with_all_that_a_person_needs(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        await self.refund(desk, paid, 20_001)
        before = self.count()
        lost = decided(desk, raised(desk, paid))
        for after, outcome in ((0, Outcome.MOVED), (0, Outcome.UNCHANGED), (1, Outcome.MOVED)):
            assert await hear(desk, lost, after=after) is outcome
        (mismatch,) = (await desk.row(payment)).mismatches
        assert mismatch.to_mongo() == {
            "at": desk.clock(),
            "source": "reconciliation",
            "reason": "dispute_lost_after_refund",
            "event": "payment.dispute.lost",
            "eventId": "evt_9",
            "actor": "gateway",
            "orderId": payment.razorpay_order_id,
            "paymentId": paid.id,
            "disputeId": lost.id,
            "amount": 30_000,
            "currency": "INR",
        }
        assert self.count() == before + 1

    async def test_a_repeat_tells_what_the_first_could_not(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        lost = decided(desk, raised(desk, paid))
        await hear(desk, lost)
        assert await desk.mismatches(payment) == []
        await self.refund(desk, paid, 20_001)
        assert await hear(desk, lost) is Outcome.UNCHANGED
        assert await desk.mismatches(payment) == ["dispute_lost_after_refund"]

    @pytest.mark.parametrize(
        ("returned", "lost", "is_told"),
        [
            (AMOUNT, 1, True),
            (20_000, 30_000, False),
            (20_000, 30_001, True),
            (0, AMOUNT, False),
        ],
    )
    async def test_of_surplus_the_gateway_knows_what_went_back(
        self, desk: Desk, returned: int, lost: int, is_told: bool
    ) -> None:
        payment, _ = await desk.sold()
        second = desk.pay(payment, doubles=True)
        await desk.settle(Event.CAPTURED, second)
        if returned:
            desk.gateway.refund_in_the_dashboard(second.id, returned, waits=False)
        dispute = decided(desk, raised(desk, second, lost))
        await hear(desk, dispute)
        found = (await desk.row(payment)).mismatches
        assert [(each.payment_id, each.amount) for each in found] == (
            [(second.id, lost)] if is_told else []
        )


@dataclass
class Stored:
    """A dispute in a row, without a gateway that knows it."""

    desk: Desk
    payment: Payment

    async def add(self, name: str = "", **facts: Any) -> str:
        dispute_id = f"disp_{name or ObjectId()}"
        entry = Dispute(
            **{
                "dispute_id": dispute_id,
                "payment_id": self.payment.razorpay_payment_id,
                "amount": 1,
                "currency": "INR",
                "phase": "chargeback",
                "status": DisputeStatus.OPEN,
                "source": Source.WEBHOOK,
                "created_at": self.desk.clock(),
                "updated_at": self.desk.clock(),
                **facts,
            }
        )
        ledger = self.desk.services.payment_ledger
        await ledger.update_where({"id": self.payment.pk}, push__disputes=entry)
        return dispute_id


@pytest.fixture
async def stored(desk: Desk) -> Stored:
    payment, _ = await desk.sold()
    return Stored(desk, payment)


class TestLists:
    async def test_the_nearest_deadline_is_first_and_every_page_goes_on_where_the_last_ended(
        self, desk: Desk, stored: Stored
    ) -> None:
        other, _ = await desk.sold()
        elsewhere = Stored(desk, other)
        at = desk.clock()
        # Two without a deadline, then two of one moment.
        ordered = [
            await stored.add("1"),
            await elsewhere.add("2"),
            await elsewhere.add("3", respond_by=at, status=DisputeStatus.WON),
            await stored.add("4", respond_by=at),
            await stored.add("0", respond_by=at + timedelta(seconds=1)),
        ]
        service = desk.services.dispute_service

        async def page(
            count: int,
            skip: int = 0,
            cursor: str | None = None,
            status: DisputeStatus | None = None,
        ) -> list[str]:
            found = await service.list_disputes(admin, status, count, skip, cursor)
            references = {each.reference_id for each in found}
            assert references <= {stored.payment.reference_id, other.reference_id}
            return [each.dispute_id for each in found]

        admin = principal(Role.ADMIN)
        assert await page(10) == ordered
        assert await page(2, skip=1) == ordered[1:3]
        for place, dispute_id in enumerate(ordered):
            # The place of a cursor is its own: a number beside it counts nothing.
            assert await page(2, skip=3, cursor=dispute_id) == ordered[place + 1 : place + 3]
        assert await page(10, status=DisputeStatus.WON) == [ordered[2]]
        assert await page(10, status=DisputeStatus.OPEN) == [*ordered[:2], *ordered[3:]]

    async def test_a_provider_sees_the_disputes_of_what_was_paid_to_it_and_the_staff_all(
        self, desk: Desk, stored: Stored
    ) -> None:
        payee = ObjectId()
        other, _ = await desk.sold()
        await desk.services.payment_ledger.update_where({"id": other.pk}, set__payee_id=str(payee))
        foreign, own = await stored.add("1"), await Stored(desk, other).add("2")
        service = desk.services.dispute_service

        for role in (Role.ADMIN, Role.LAB_ASSISTANT):
            found = await service.list_disputes(principal(role), None, 10, 0, None)
            assert [each.dispute_id for each in found] == [foreign, own]
            assert (await service.show(principal(role), foreign)).dispute_id == foreign

        provider = principal(Role.PROVIDER, payee)
        (shown,) = await service.list_disputes(provider, None, 10, 0, None)
        assert shown == await service.show(provider, own)
        assert (shown.dispute_id, shown.reference_id) == (own, other.reference_id)
        with pytest.raises(NotFound):
            await service.show(provider, foreign)
        with pytest.raises(NotFound) as refused:
            await service.list_disputes(provider, None, 10, 0, foreign)
        assert refused.value.field == "cursor"
        with pytest.raises(NotFound):
            await service.show(principal(Role.ADMIN), "disp_0")


class TestDeadlines:
    def deadlines(self, desk: Desk) -> DisputeDeadlines:
        services = desk.services
        return DisputeDeadlines(services.dispute_repository, services.payment_ledger, desk.clock)

    async def measured(self, desk: Desk) -> dict[tuple[str, ...], float]:
        families = await self.deadlines(desk).gauges()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
            if sample.value or not sample.labels
        }

    async def test_disputes_are_counted_by_what_they_wait_for_and_how_long_they_may(
        self, desk: Desk, stored: Stored
    ) -> None:
        assert await self.measured(desk) == {}
        limits = [timedelta(0), timedelta(hours=24), timedelta(hours=48), timedelta(days=7)]
        second = timedelta(seconds=1)
        for limit in limits:
            await stored.add(respond_by=desk.clock() + limit)
            await stored.add(respond_by=desk.clock() + limit + second)
        await stored.add(phase="a_new_phase")
        await stored.add(status=DisputeStatus.UNDER_REVIEW, respond_by=desk.clock())
        await stored.add(status=DisputeStatus.LOST, respond_by=desk.clock())
        assert await self.measured(desk) == {
            ("kernapay_disputes_undecided", "open", "chargeback"): 8,
            ("kernapay_disputes_undecided", "open", "other"): 1,
            ("kernapay_disputes_undecided", "under_review", "chargeback"): 1,
            ("kernapay_dispute_deadline_seconds",): 0,
            ("kernapay_disputes_open", "missed"): 1,
            ("kernapay_disputes_open", "24h"): 2,
            ("kernapay_disputes_open", "48h"): 2,
            ("kernapay_disputes_open", "7d"): 2,
            ("kernapay_disputes_open", "later"): 1,
            ("kernapay_disputes_open", "none"): 1,
        }

    async def test_a_warning_is_given_when_it_is_due_and_once(
        self, desk: Desk, stored: Stored
    ) -> None:
        due = desk.clock() + timedelta(hours=1)
        for after in (0, 1):
            at = due + timedelta(seconds=after)
            await stored.add(warn_at=at, respond_by=at + timedelta(days=2))
        sweep = self.deadlines(desk).sweep
        assert await sweep() is False
        desk.clock.advance(hours=1)
        assert [await sweep(), await sweep()] == [True, False]
        assert await self.waiting(desk, stored.payment) == [None, due + timedelta(seconds=1)]
        desk.clock.advance(seconds=1)
        assert [await sweep(), await sweep()] == [True, False]

    async def waiting(self, desk: Desk, payment: Payment) -> list[datetime | None]:
        return [each.warn_at for each in (await desk.row(payment)).disputes]
