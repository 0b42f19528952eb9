"""Refunds on a real mongod: whatever the gateway tells, in whatever order and however often, the sums are right."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kernapay.core.clock import now
from kernapay.gateway.base import GatewayRefund
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Payment, Refund, Step
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import RefundState, RefundStatus, Source, Status
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from tests.aliases import Store

pytestmark = pytest.mark.anyio
RANK = ("requested", "pending", "processed", "failed")
AMOUNT = 1000
ORIGIN = Origin(Source.WEBHOOK, "refund.processed", event_id="evt_1")

# Five refunds, more than which cannot be given: the gateway never refunds more than it has.
PARTS = (500, 300, 200, 400, 100)
events = st.lists(st.tuples(st.integers(0, len(PARTS) - 1), st.sampled_from(RANK[1:])), max_size=14)


@pytest.fixture
def ledger(mongo: Mongo, redis_url: str, store: Store) -> PaymentLedger:
    # Not started: the cache stays out of it.
    cache = Cache(RedisStore(redis_url), MongoPendingEvictions(mongo))
    lifetimes = Lifetimes(timedelta(minutes=15), timedelta(days=7))
    return PaymentLedger(mongo, PaymentRepository(mongo, cache), lifetimes)


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


def reservation(amount: int, key: str | None = None) -> Refund:
    at = now()
    return Refund(
        receipt=f"KPR_{ObjectId()}",
        key=key or str(ObjectId()),
        amount=amount,
        status=RefundState.REQUESTED,
        source=Source.API,
        lease_until=at + timedelta(seconds=30),
        created_at=at,
        updated_at=at,
    )


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


async def test_what_was_refused_can_be_reserved_again(ledger: PaymentLedger) -> None:
    payment = await reserved(ledger, await paid(ledger), 1000)
    assert await ledger.reserve_refund(payment, reservation(1), MAX_REFUNDS) is None
    payment = await ledger.refuse_refund(payment, payment.refunds[0], "low balance", ORIGIN)
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
