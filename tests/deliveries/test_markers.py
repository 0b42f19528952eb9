"""Each update that adds a step marks the payment for the relay, and none that adds no step does."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from kernapay.payments.models import Payment, SurplusPayment
from kernapay.payments.states import DisputeStatus, Event, RefundState, SurplusReason
from kernapay.storage.mongo import Mongo
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import ORIGIN, Desk, gateway_payment, gateway_refund, open_desk

pytestmark = pytest.mark.anyio
Deed = Callable[[Desk, Payment], Awaitable[object]]


@pytest.fixture
async def desk(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        yield desk


async def row_of(desk: Desk, payment: Payment) -> Json:
    row = await desk.do(lambda store: store.payments.find_one({"_id": payment.pk}))
    assert row is not None
    return row


async def decline(desk: Desk, payment: Payment) -> object:
    return await desk.move(payment, Event.DECLINED)


async def capture(desk: Desk, payment: Payment) -> object:
    return await desk.move(payment, Event.CAPTURED)


async def expire(desk: Desk, payment: Payment) -> object:
    return await desk.move(payment, Event.EXPIRED)


async def cancel(desk: Desk, payment: Payment) -> object:
    return await desk.move(payment, Event.CANCELLED)


async def authorize(desk: Desk, payment: Payment) -> object:
    return await desk.ledger.record_authorization(payment, ORIGIN, gateway_payment(payment))


async def approve_late_money(desk: Desk, payment: Payment) -> object:
    ended = await desk.move(payment, Event.EXPIRED)
    await desk.tell()
    return await desk.ledger.approve(ended, ORIGIN, gateway_payment(ended))


async def reserve_refund(desk: Desk, payment: Payment) -> object:
    paid = await desk.move(payment, Event.CAPTURED)
    await desk.tell()
    return await desk.reserve(paid)


async def record_refund(desk: Desk, payment: Payment) -> object:
    paid = await desk.move(payment, Event.CAPTURED)
    await desk.tell()
    return await desk.record(paid, gateway_refund(paid, None, "processed"))


async def refuse_refund(desk: Desk, payment: Payment) -> object:
    paid = await desk.move(payment, Event.CAPTURED)
    refund = await desk.reserve(paid)
    await desk.tell()
    return await desk.ledger.refuse_refund(paid, refund, "No balance", ORIGIN)


async def open_dispute(desk: Desk, payment: Payment) -> object:
    paid = await desk.move(payment, Event.CAPTURED)
    await desk.tell()
    return await desk.dispute(paid, None, DisputeStatus.OPEN)


async def change_dispute(desk: Desk, payment: Payment) -> object:
    paid = await desk.move(payment, Event.CAPTURED)
    disputed, known = await desk.dispute(paid, None, DisputeStatus.OPEN)
    await desk.tell()
    return await desk.dispute(disputed, known, DisputeStatus.WON)


async def _surplus(desk: Desk, payment: Payment) -> tuple[Payment, SurplusPayment]:
    paid = await desk.move(payment, Event.CAPTURED)
    await desk.tell()
    second = gateway_payment(paid, id="pay_second")
    row = await desk.ledger.add_surplus(paid, second, SurplusReason.SECOND, ORIGIN)
    assert row is not None
    return row, row.surplus_payments[0]


async def enter_surplus(desk: Desk, payment: Payment) -> object:
    return await _surplus(desk, payment)


async def return_surplus(desk: Desk, payment: Payment) -> object:
    row, surplus = await _surplus(desk, payment)
    await desk.tell()
    state = RefundState.PROCESSED
    return await desk.ledger.record_surplus(row, surplus, state, "rfnd_2", ORIGIN)


DEEDS: list[Deed] = [
    decline,
    capture,
    expire,
    cancel,
    authorize,
    approve_late_money,
    reserve_refund,
    record_refund,
    refuse_refund,
    open_dispute,
    change_dispute,
    enter_surplus,
    return_surplus,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_what_adds_a_step_marks(desk: Desk, deed: Deed) -> None:
    payment = await desk.create()
    await desk.tell()
    before = await row_of(desk, payment)
    assert "announce" not in before
    await deed(desk, payment)
    after = await row_of(desk, payment)
    assert len(after["history"]) > len(before["history"])
    assert after["announce"] == after["history"][-1]["updatedAt"]
    assert after["announced"] < len(after["history"])


async def test_what_adds_no_step_does_not_mark(desk: Desk) -> None:
    payment = await desk.paid()
    found = gateway_refund(payment, None, "processed")
    paid = await desk.record(payment, found)
    await desk.tell()
    before = await row_of(desk, payment)
    # A repeat, a late word, a fee, and another system's order.
    await desk.record(paid, found)
    assert await desk.ledger.move(Event.DECLINED, paid, ORIGIN) is None
    await desk.ledger.record_fee(paid, 20, 3)
    await desk.ledger.record_surplus_orders(paid, ["order_other"])
    after = await row_of(desk, payment)
    assert "announce" not in after
    assert after["history"] == before["history"]


async def test_a_payment_is_born_marked(desk: Desk) -> None:
    """A little later than now, so that its first event can name its order."""
    payment = await desk.create()
    row = await row_of(desk, payment)
    assert row["announced"] == 0
    assert 0 < (row["announce"] - row["createdAt"]).total_seconds() <= 2
