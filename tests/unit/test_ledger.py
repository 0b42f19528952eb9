"""Refunds on a real mongod: whatever the gateway tells, in whatever order and however often, the sums are right."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis

from kernapay.core.clock import now
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Dispute, Payment, Refund, Step
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import (
    MOVES,
    DisputeStatus,
    Event,
    RefundState,
    RefundStatus,
    Source,
    Status,
)
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.live.noted_signals import NotedSignals
from tests.money.desk import counted
from tests.unit.conftest import OpenCache

pytestmark = pytest.mark.anyio
RANK = ("requested", "pending", "processed", "failed")
AMOUNT = 1000
ORIGIN = Origin(Source.WEBHOOK, "refund.processed", event_id="evt_1")

ARN = {"arn": "7"}

# Five refunds, more than which cannot be given: the gateway never refunds more than it has.
PARTS = (500, 300, 200, 400, 100)
events = st.lists(st.tuples(st.integers(0, len(PARTS) - 1), st.sampled_from(RANK[1:])), max_size=14)


LIFETIMES = Lifetimes(timedelta(minutes=15), timedelta(days=7))


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def ledger(mongo: Mongo, redis_url: str, store: Store, clock: FrozenClock) -> PaymentLedger:
    # Not started: the cache stays out of it.
    cache = Cache(RedisStore(redis_url), MongoPendingEvictions(mongo))
    return PaymentLedger(mongo, PaymentRepository(mongo, cache, clock), LIFETIMES, NotedSignals())


async def paid(ledger: PaymentLedger, **changes: Any) -> Payment:
    first = Step(status=Status.SUCCESS, at=now(), source=Source.API)
    return await ledger.add(
        Payment(
            **{
                "user_id": ObjectId(),
                "amount": AMOUNT,
                "currency": "INR",
                "status": Status.SUCCESS,
                "reference_id": f"PAY_{ObjectId()}",
                "service_type": "CONSULTATION",
                "history": [first],
                **changes,
            }
        )
    )


def gateway_refund(number: int, status: str, **changes: Any) -> GatewayRefund:
    return GatewayRefund(
        **{
            "id": f"rfnd_{number}",
            "payment_id": "pay_1",
            "amount": PARTS[number],
            "currency": "INR",
            "status": status,
            **changes,
        }
    )


async def record(ledger: PaymentLedger, payment: Payment, *news: tuple[int, str]) -> Payment:
    for number, status in news:
        payment = await ledger.record_refund(payment, gateway_refund(number, status), ORIGIN)
    return payment


def is_possible(news: Sequence[tuple[int, str]]) -> bool:
    """Tell whether a gateway could have had the money for these refunds."""
    return sum(PARTS[number] for number in {number for number, _ in news}) <= AMOUNT


async def test_a_repeated_message_leaves_no_second_trace(ledger: PaymentLedger) -> None:
    once = await record(ledger, await paid(ledger), (0, "processed"))
    twice = await record(ledger, once, (0, "processed"))
    assert len(twice.refunds) == 1
    assert len(twice.history) == len(once.history) == 2
    assert twice.amount_refunded == 500


async def test_each_change_is_in_the_history(ledger: PaymentLedger) -> None:
    payment = await record(
        ledger, await paid(ledger), (0, "pending"), (0, "processed"), (0, "pending")
    )
    assert [step.reason for step in payment.history] == [
        None,
        "refund pending: 500",
        "refund processed: 500",
    ]
    assert payment.history[-1].source is Source.WEBHOOK
    assert payment.history[-1].event_id == "evt_1"


async def test_a_payment_whose_whole_refund_came_back_is_a_success_again(
    ledger: PaymentLedger,
) -> None:
    payment = await paid(ledger, amount=500)
    payment = await record(ledger, payment, (0, "processed"))
    assert payment.status is Status.REFUNDED
    payment = await record(ledger, payment, (0, "failed"))
    assert (payment.status, payment.amount_refunded) == (Status.SUCCESS, 0)
    assert payment.refund_status is RefundStatus.NOT_REQUESTED


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
async def test_a_refund_does_not_make_an_unpaid_payment_paid(
    ledger: PaymentLedger, status: Status
) -> None:
    payment = await record(ledger, await paid(ledger, status=status), (0, "processed"))
    assert payment.status is status


async def test_our_own_refund_is_recognised_by_its_receipt(ledger: PaymentLedger) -> None:
    payment = await reserved(ledger, await paid(ledger), 500)
    receipt = payment.refunds[0].receipt
    refund = gateway_refund(0, "processed", receipt=receipt)
    payment = await ledger.record_refund(payment, refund, ORIGIN)
    assert [(r.refund_id, r.status) for r in payment.refunds] == [("rfnd_0", "processed")]
    assert payment.amount_refunded == 500


async def test_a_text_that_looks_like_a_field_is_a_text(ledger: PaymentLedger) -> None:
    refund = gateway_refund(0, "processed", id="$amount", receipt="$userId")
    payment = await ledger.record_refund(await paid(ledger), refund, ORIGIN)
    payment = await ledger.record_refund(payment, refund, ORIGIN)
    assert [(r.refund_id, r.receipt) for r in payment.refunds] == [("$amount", "$userId")]


async def test_a_status_nobody_knows_yet_counts_as_pending(ledger: PaymentLedger) -> None:
    payment = await record(ledger, await paid(ledger), (0, "created"))
    assert payment.refunds[0].status == "pending"
    assert payment.amount_refunded == 0


async def test_simultaneous_messages_are_all_entered(ledger: PaymentLedger) -> None:
    payment = await paid(ledger)
    news = [(number, status) for number in range(3) for status in RANK[1:3]] * 3
    await asyncio.gather(*(record(ledger, payment, each) for each in news))
    payment = await ledger.get(id=payment.pk)
    assert sorted(str(refund.refund_id) for refund in payment.refunds) == [
        "rfnd_0",
        "rfnd_1",
        "rfnd_2",
    ]
    assert (payment.amount_refunded, payment.status) == (1000, Status.REFUNDED)


def reservation(amount: int, key: str | None = None, **changes: Any) -> Refund:
    at = now()
    return Refund(
        **{
            "receipt": f"KPR_{ObjectId()}",
            "key": key or str(ObjectId()),
            "amount": amount,
            "status": RefundState.REQUESTED,
            "source": Source.API,
            "lease_until": at + timedelta(seconds=30),
            "created_at": at,
            "updated_at": at,
            **changes,
        }
    )


def for_sale(ledger: PaymentLedger) -> Awaitable[Payment]:
    order = f"order_{ObjectId()}"
    return paid(ledger, status=Status.PENDING, order_id=order, razorpay_order_id=order)


def capture_of(payment: Payment) -> GatewayPayment:
    return GatewayPayment(
        id=f"pay_{payment.pk}",
        amount=AMOUNT,
        currency="INR",
        status="captured",
        order_id=payment.razorpay_order_id,
        method="upi",
        captured=True,
        fee=20,
        created_at=1,
    )


@pytest.mark.parametrize("event", list(MOVES))
async def test_a_move_returns_the_payment_as_it_is_stored(
    ledger: PaymentLedger, event: Event
) -> None:
    payment = await for_sale(ledger)
    facts = (capture_of(payment), "signature", [gateway_refund(0, "processed")])
    moved = await ledger.move(event, payment, ORIGIN, *facts)
    assert moved is not None
    assert moved.to_mongo() == (await ledger.get(id=payment.pk)).to_mongo()


async def test_of_moves_at_once_each_learns_its_own_outcome(ledger: PaymentLedger) -> None:
    """MongoDB only says how many of them it made."""
    payments = [await for_sale(ledger) for _ in range(6)]
    await ledger.move(Event.CAPTURED, payments[3], ORIGIN, capture_of(payments[3]))

    async def move(payment: Payment, event_id: str) -> bool:
        origin = Origin(Source.WEBHOOK, "payment.captured", event_id=event_id)
        moved = await ledger.move(Event.CAPTURED, payment, origin, capture_of(payment))
        return moved is not None and moved.status is Status.SUCCESS

    calls = [*((payment, "evt_2") for payment in payments), (payments[0], "evt_3")]
    made = await asyncio.gather(*(move(*call) for call in calls))
    assert made[1:6] == [True, True, False, True, True]
    assert made[0] is not made[6]
    rows = [await ledger.get(id=payment.pk) for payment in payments]
    assert {(row.status, len(row.history)) for row in rows} == {(Status.SUCCESS, 2)}


async def test_a_move_returns_also_what_was_stored_since_the_payment_was_read(
    ledger: PaymentLedger,
) -> None:
    payment = await for_sale(ledger)
    await ledger.record_authorization(payment, ORIGIN, capture_of(payment))
    moved = await ledger.move(Event.CAPTURED, payment, ORIGIN, capture_of(payment))
    assert moved is not None
    assert moved.authorized_at is not None
    assert len(moved.history) == 3


MAX_REFUNDS = 30


async def reserved(ledger: PaymentLedger, payment: Payment, amount: int) -> Payment:
    found = await ledger.reserve_refund(payment, reservation(amount), MAX_REFUNDS)
    assert found is not None
    return found


@pytest.mark.parametrize(("amount", "fit"), [(300, 3), (1000, 1), (1, 20), (1001, 0)])
async def test_simultaneous_reservations_never_exceed_the_amount(
    ledger: PaymentLedger, amount: int, fit: int
) -> None:
    payment = await paid(ledger)
    found = await asyncio.gather(
        *(ledger.reserve_refund(payment, reservation(amount), MAX_REFUNDS) for _ in range(20))
    )
    assert sum(each is not None for each in found) == fit
    payment = await ledger.get(id=payment.pk)
    assert sum(refund.amount for refund in payment.refunds) == fit * amount <= AMOUNT


async def test_a_key_reserves_once(ledger: PaymentLedger) -> None:
    payment = await paid(ledger)
    found = await asyncio.gather(
        *(ledger.reserve_refund(payment, reservation(100, "key"), MAX_REFUNDS) for _ in range(10))
    )
    assert sum(each is not None for each in found) == 1


async def test_a_receipt_reserves_once(ledger: PaymentLedger) -> None:
    payment = await reserved(ledger, await paid(ledger), 100)
    same = reservation(100, receipt=payment.refunds[0].receipt)
    assert await ledger.reserve_refund(payment, same, MAX_REFUNDS) is None


async def test_a_reservation_says_who_asked_for_what_and_is_checked_from_then_on(
    ledger: PaymentLedger, store: Store
) -> None:
    at = now() - timedelta(hours=1)
    before = await paid(ledger, razorpay_payment_id="pay_1", checks=3)
    refund = reservation(300, actor="user:1", created_at=at)

    payment = await ledger.reserve_refund(before, refund, MAX_REFUNDS)

    assert payment is not None
    (row,) = await asyncio.to_thread(lambda: list(store.payments.find({"_id": payment.pk})))
    assert (row["checkAt"], row["checks"], row["announce"]) == (at, 0, at)
    assert payment.history[-1].to_mongo() == {
        "status": "success",
        "updatedAt": at,
        "source": "api",
        "event": "refund.requested",
        "actor": "user:1",
        "razorpayPaymentId": "pay_1",
        "reason": "refund requested: 300",
        "refundStatus": "requested",
        "refund": {"receipt": refund.receipt, "amount": 300, "status": "requested"},
    }


async def test_a_lease_that_was_given_back_is_free_at_once_until_the_gateway_has_answered(
    ledger: PaymentLedger, clock: FrozenClock
) -> None:
    minute = timedelta(minutes=1)
    ended = reservation(500, lease_until=clock() - minute)
    payment = await ledger.reserve_refund(await paid(ledger), ended, MAX_REFUNDS)
    assert payment is not None
    mine, other = payment.refunds[0], (await ledger.get(id=payment.pk)).refunds[0]
    clock.advance(seconds=1)

    taken = await ledger.take_refund_lease(payment, mine, minute)
    assert taken is not None
    assert taken.updated_at == payment.updated_at, "a client sees nothing of it"
    assert await ledger.take_refund_lease(payment, other, minute) is None
    assert await ledger.release_refund_lease(payment, mine) is True
    assert await ledger.release_refund_lease(payment, mine) is False
    assert await ledger.take_refund_lease(payment, other, minute) is not None
    await ledger.release_refund_lease(payment, other)

    await ledger.record_refund(payment, gateway_refund(0, "pending", receipt=mine.receipt), ORIGIN)
    assert await ledger.take_refund_lease(payment, mine, minute) is None


async def test_whoever_reads_or_watches_a_payers_history_learns_of_each_change(
    mongo: Mongo, open_cache: OpenCache, empty_redis: Redis
) -> None:
    async with open_cache() as cache:
        payments, signals = PaymentRepository(mongo, cache), NotedSignals()
        ledger = PaymentLedger(mongo, payments, LIFETIMES, signals)
        payment = await paid(ledger, amount=500)
        seen = []
        for change in ("none", "reserved", "processed"):
            if change == "reserved":
                await reserved(ledger, payment, 500)
            elif change == "processed":
                await record(ledger, payment, (0, change))
            assert set(signals.names) == ({str(payment.pk)} if change != "none" else set())
            signals.names.clear()
            (row,) = await payments.history(user_id=str(payment.user_id), skip=0, count=10)
            seen.append((row.status, row.refund_status))
    assert seen == [
        (Status.SUCCESS, RefundStatus.NOT_REQUESTED),
        (Status.SUCCESS, RefundStatus.REQUESTED),
        (Status.REFUNDED, RefundStatus.COMPLETED),
    ]


async def test_a_payment_is_counted_as_refunded_once_and_when_all_of_it_is(
    ledger: PaymentLedger,
) -> None:
    def count() -> float:
        name = "kernapay_payments_total"
        return counted(name, status="refunded", method="none", source="webhook")

    before, payment, counts = count(), await paid(ledger), []
    for number, status in [(0, "processed"), (1, "processed"), (2, "processed"), (2, "processed")]:
        payment = await record(ledger, payment, (number, status))
        counts.append(count() - before)
    assert counts == [0, 0, 1, 1]


async def test_what_was_refused_can_be_reserved_again(ledger: PaymentLedger) -> None:
    payment = await reserved(ledger, await paid(ledger, razorpay_payment_id="pay_1"), 1000)
    assert await ledger.reserve_refund(payment, reservation(1), MAX_REFUNDS) is None
    payment = await ledger.refuse_refund(payment, payment.refunds[0], "low balance", ORIGIN)
    assert payment.history[-1].razorpay_payment_id == "pay_1"
    assert payment.refund_status is RefundStatus.NOT_REQUESTED
    payment = await reserved(ledger, payment, 1000)
    assert payment.refund_status is RefundStatus.REQUESTED


async def test_a_payment_has_few_refunds_and_all_of_it_can_be_returned(
    ledger: PaymentLedger, store: Store
) -> None:
    payment = await paid(ledger)
    tries = [ledger.reserve_refund(payment, reservation(1), MAX_REFUNDS) for _ in range(90)]
    found = await asyncio.gather(*tries)
    assert sum(each is not None for each in found) == MAX_REFUNDS - 1
    (row,) = await asyncio.to_thread(lambda: list(store.payments.find({"_id": payment.pk})))
    assert len(bson.encode(row)) < 20_000
    rest = reservation(AMOUNT - MAX_REFUNDS + 1)
    payment = await reserved(ledger, payment, rest.amount)
    assert sum(refund.amount for refund in payment.refunds) == AMOUNT


async def test_the_rest_may_be_tried_again_but_not_without_end(ledger: PaymentLedger) -> None:
    payment = await paid(ledger)
    for _ in range(6):
        payment = await reserved(ledger, payment, AMOUNT)
        payment = await ledger.refuse_refund(payment, payment.refunds[-1], "low balance", ORIGIN)
    assert await ledger.reserve_refund(payment, reservation(AMOUNT), 3) is None
    assert await ledger.reserve_refund(payment, reservation(AMOUNT), 4) is not None


class TestRows:
    """What an update leaves in a row: every field of the refund, and of the step that tells of it."""

    async def stored(self, store: Store, payment: Payment) -> Json:
        found = await asyncio.to_thread(lambda: list(store.payments.find({"_id": payment.pk})))
        (row,) = found
        return row

    def step(self, clock: FrozenClock, **facts: Any) -> Json:
        """Return a step that the webhook of `ORIGIN` made now, as it is stored."""
        return {
            "updatedAt": clock(),
            "source": "webhook",
            "event": "refund.processed",
            "eventId": "evt_1",
            "razorpayPaymentId": "pay_1",
            **facts,
        }

    async def test_a_refund_of_which_nobody_knew_is_entered_with_all_that_is_told(
        self, ledger: PaymentLedger, store: Store, clock: FrozenClock
    ) -> None:
        payment = await paid(ledger)
        # Older rows have neither.
        unset = {"$unset": {"refunds": "", "history": ""}}
        await asyncio.to_thread(store.payments.update_one, {"_id": payment.pk}, unset)
        refund = gateway_refund(
            0, "processed", receipt="R1", acquirer_data=ARN, speed_processed="instant"
        )

        await ledger.record_refund(payment, refund, ORIGIN)

        row = await self.stored(store, payment)
        facts = {"refundId": "rfnd_0", "receipt": "R1", "amount": 500, "status": "processed"}
        told = {"speedProcessed": "instant", "arn": "7"}
        at = clock()
        assert row["refunds"] == [
            {**facts, **told, "source": "webhook", "createdAt": at, "updatedAt": at}
        ]
        assert row["history"] == [
            self.step(
                clock,
                reason="refund processed: 500",
                status="success",
                amountRefunded=500,
                refundStatus="requested",
                refund={**facts, **told},
            )
        ]
        assert (row["announce"], row["updatedAt"]) == (at, at)
        clock.advance(minutes=1)
        await ledger.record_refund(payment, refund, ORIGIN)
        assert await self.stored(store, payment) == row, "a repeat changes nothing"

    async def test_news_of_our_refund_keeps_what_we_know_of_it(
        self, ledger: PaymentLedger, store: Store, clock: FrozenClock
    ) -> None:
        other, ours = reservation(100), reservation(500, actor="user:1", fingerprint="f")
        payment = await paid(ledger, refunds=[other, ours])
        before = (await self.stored(store, payment))["refunds"]
        payment = await ledger.refuse_refund(payment, ours, "low balance", ORIGIN)
        clock.advance(minutes=1)

        # The gateway has made it after all.
        refund = gateway_refund(0, "pending", receipt=ours.receipt, speed_processed="normal")
        payment = await ledger.record_refund(payment, refund, ORIGIN)
        known = {"refundId": "rfnd_0", "speedProcessed": "normal", "failure": None}
        pending = {**before[1], **known, "status": "pending", "updatedAt": clock()}
        assert (await self.stored(store, payment))["refunds"] == [before[0], pending]
        assert payment.refund_status is RefundStatus.REQUESTED

        # Of the same state, a repeat may bring the bank's reference. Old news changes nothing.
        clock.advance(minutes=1)
        payment = await ledger.record_refund(
            payment, gateway_refund(0, "pending", receipt=ours.receipt, acquirer_data=ARN), ORIGIN
        )
        assert (await self.stored(store, payment))["refunds"][1] == {**pending, "arn": "7"}
        step = payment.history[-1]
        assert step.refund is not None
        assert (step.reason, step.refund.arn, step.amount_refunded) == (
            *("refund pending: 500", "7", 0),
        )

        clock.advance(minutes=1)
        again = await ledger.record_refund(payment, gateway_refund(0, "pending"), ORIGIN)
        assert (len(again.history), again.updated_at) == (len(payment.history), payment.updated_at)

    @pytest.mark.parametrize("is_heard", [False, True])
    async def test_an_event_without_our_receipt_and_the_one_with_it_are_one_refund(
        self, ledger: PaymentLedger, store: Store, clock: FrozenClock, is_heard: bool
    ) -> None:
        other, ours = reservation(100), reservation(500)
        payment = await paid(ledger, refunds=[other, ours])
        payment = await record(ledger, payment, (0, "processed"))
        assert [each.refund_id for each in payment.refunds] == [None, None, "rfnd_0"]
        if is_heard:
            # As a process of an older version may have left it.
            known = {"refunds.1.refundId": "rfnd_0", "refunds.1.status": "processed"}
            await asyncio.to_thread(store.payments.update_one, {"_id": payment.pk}, {"$set": known})

        refund = gateway_refund(0, "processed", receipt=ours.receipt)
        payment = await ledger.record_refund(payment, refund, ORIGIN)

        assert [(each.refund_id, each.key, each.status) for each in payment.refunds] == [
            *((None, other.key, "requested"), ("rfnd_0", ours.key, "processed")),
        ]
        assert (payment.amount_refunded, payment.status) == (500, Status.SUCCESS)
        step = payment.history[-1]
        assert (step.reason, step.amount_refunded) == ("refund processed: 500", 500)
        assert (step.refund is None) is is_heard, "none changed, two became one"

    async def test_a_receipt_that_no_refund_of_ours_has_changes_nothing_later(
        self, ledger: PaymentLedger, store: Store, clock: FrozenClock
    ) -> None:
        payment = await record(
            ledger, await paid(ledger, refunds=[reservation(100)]), (0, "pending")
        )
        before = await self.stored(store, payment)
        clock.advance(minutes=1)
        await ledger.record_refund(payment, gateway_refund(0, "pending", receipt="R1"), ORIGIN)
        assert await self.stored(store, payment) == before

    async def test_a_refusal_ends_the_refund_that_waits_and_no_other(
        self, ledger: PaymentLedger, store: Store, clock: FrozenClock
    ) -> None:
        answered = reservation(500, refund_id="rfnd_0")
        other, refused = reservation(100), reservation(200)
        payment = await paid(ledger, refunds=[answered, other, refused])
        before = (await self.stored(store, payment))["refunds"]
        clock.advance(minutes=1)

        for each in (answered, refused):
            payment = await ledger.refuse_refund(payment, each, "$amount", ORIGIN)

        row = await self.stored(store, payment)
        failure = {"status": "failed", "failure": "$amount"}
        assert row["refunds"] == [*before[:2], {**before[2], **failure, "updatedAt": clock()}]
        assert row["history"][1:] == [
            {
                **{k: v for k, v in self.step(clock).items() if k != "razorpayPaymentId"},
                "reason": "refund refused",
                "status": "success",
                "amountRefunded": 0,
                "refundStatus": "requested",
                "refund": {"receipt": refused.receipt, "amount": 200, **failure},
            }
        ]

    @pytest.mark.parametrize(("amount", "is_admitted"), [(1180, False), (880, True), (881, False)])
    async def test_what_came_in_less_what_a_dispute_holds_may_be_refunded(
        self, ledger: PaymentLedger, amount: int, is_admitted: bool
    ) -> None:
        about = {"amount": 300, "currency": "INR", "phase": "chargeback", "held": 300}
        rest = {"status": DisputeStatus.OPEN, "source": Source.WEBHOOK}
        times = {"created_at": now(), "updated_at": now()}
        disputes = [
            Dispute(dispute_id=f"disp_{each}", payment_id=f"pay_{each}", **about, **rest, **times)
            for each in (1, 2)
        ]
        payment = await paid(
            ledger, razorpay_payment_id="pay_1", amount_paid=1180, disputes=disputes
        )
        found = await ledger.reserve_refund(payment, reservation(amount), MAX_REFUNDS)
        assert (found is not None) is is_admitted


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(news=events.filter(is_possible))
@example(news=[(0, "processed"), (1, "processed"), (2, "processed")])
@example(news=[(0, "failed"), (0, "processed"), (0, "pending")])
@example(news=[(0, "processed"), (0, "processed"), (0, "failed")])
async def test_the_sums_depend_on_what_was_told_not_on_its_order(
    ledger: PaymentLedger, news: list[tuple[int, str]]
) -> None:
    payment = await record(ledger, await paid(ledger), *news)

    final: dict[int, str] = {}
    for number, status in news:
        final[number] = max(final.get(number, "requested"), status, key=RANK.index)
    returned = sum(PARTS[number] for number, status in final.items() if status == "processed")
    under_way = any(status != "failed" for status in final.values())

    assert {str(refund.refund_id): refund.status for refund in payment.refunds} == {
        f"rfnd_{number}": status for number, status in final.items()
    }
    assert payment.amount_refunded == returned <= AMOUNT
    assert payment.status is (Status.REFUNDED if returned == AMOUNT else Status.SUCCESS)
    if returned == AMOUNT:
        assert payment.refund_status is RefundStatus.COMPLETED
    elif under_way:
        assert payment.refund_status is RefundStatus.REQUESTED
    else:
        assert payment.refund_status is RefundStatus.NOT_REQUESTED
    assert len(payment.history) <= 1 + len(news)
