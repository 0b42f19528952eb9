"""How often an import asks the gateway: by lists where they cost less, and never twice for the same time."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from msgspec.structs import replace

from kernapay.express_import.changes import Changes
from kernapay.express_import.gateway_orders import UNREADABLE, GatewayOrders
from kernapay.express_import.payment_rows import OldPayment, hash_of_row, read_payment
from kernapay.gateway.base import GatewayPayment, Order
from kernapay.payments.imported.views import ImportedFrom, ImportedView
from kernapay.payments.states import Status
from kernapay.reconciliation.pacing import Pace
from tests.clocks import FrozenClock
from tests.money.fake_gateway import FakeGateway

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=20)


class CountingGateway(FakeGateway):
    def clear(self) -> None:
        super().clear()
        self.calls: Counter[str] = Counter()

    async def list_entities(self, entity: Any, *arguments: Any, **more: Any) -> Sequence[Any]:
        self.calls[f"list {entity.__name__}"] += 1
        found: Sequence[Any] = await super().list_entities(entity, *arguments, **more)
        return found

    async def fetch_order(self, order_id: str) -> Order:
        self.calls["order"] += 1
        return await super().fetch_order(order_id)

    async def payments_of(self, order_id: str) -> Sequence[GatewayPayment]:
        self.calls["payments"] += 1
        return await super().payments_of(order_id)


def sell(gateway: CountingGateway, number: int, mine: bool = True) -> OldPayment | None:
    """Let an order be paid, fail or stay open, a moment before its row is made."""
    at = START + number * EVERY
    status = ("paid", "attempted", "created")[number % 3]
    order_id = f"order_{'mine' if mine else 'other'}{number:08}"
    seconds = int(at.timestamp())
    attempts = int(status != "created")
    gateway.orders[order_id] = Order(
        order_id, 50_000, "INR", status, created_at=seconds - 1, attempts=attempts
    )
    if attempts:
        payment_id = f"pay_{order_id.removeprefix('order_')}"
        gateway.payments[payment_id] = GatewayPayment(
            payment_id,
            50_000,
            "INR",
            "captured" if status == "paid" else "failed",
            order_id,
            captured=status == "paid",
            created_at=seconds + 30,
        )
    row = {"_id": ObjectId(), "userId": "u", "amount": 500, "razorpayOrderId": order_id}
    return read_payment(row | {"createdAt": at}, at) if mine else None


@pytest.mark.anyio
async def test_what_has_changed_is_told_by_the_row_and_by_the_gateways_new_payments_and_refunds() -> (
    None
):
    gateway = CountingGateway(FrozenClock(START + timedelta(days=3)))
    sold = [sale for number in range(0, 12_000, 3) if (sale := sell(gateway, number))]
    changes = Changes(gateway, Pace(100_000), gateway._clock)

    def moved(old: OldPayment, **former: Any) -> ImportedView:
        seen = ImportedFrom("rupees", seen="x", row=hash_of_row(old))
        payment_id = f"pay_{str(old.order_id).removeprefix('order_')}"
        return ImportedView(
            id=str(old.id), reference_id="r", status=Status.SUCCESS, amount=50_000, currency="INR",
            razorpay_payment_id=payment_id, former=replace(seen, **former),
        )  # fmt: skip

    assert changes.has(sold[0], moved(sold[0])), "all are, before the lists are read"
    old = str(moved(sold[1]).razorpay_payment_id)
    gateway.refund_now(old, 50_000, None)
    await changes.read(START + timedelta(days=2))
    asked_about = [each for each in sold if changes.has(each, moved(each))]
    assert asked_about[0] is sold[1]
    assert asked_about[1].created_at > START + timedelta(days=1) - EVERY * 4
    assert asked_about[-1] is sold[-1]
    assert changes.has(sold[0], moved(sold[0], seen=None))
    assert changes.has(sold[0], moved(sold[0], row="another"))
    assert changes.has(sold[0], moved(sold[0], problem=UNREADABLE))
    assert not changes.has(sold[0], moved(sold[0], problem="it has no order"))
    assert changes.has(sold[0], replace(moved(sold[0]), former=None))


async def find_all(orders: GatewayOrders, batches: Sequence[Sequence[OldPayment]]) -> list[str]:
    words = []
    for batch in batches:
        await orders.prefetch(batch)
        for each in batch:
            found = await orders.find(each.order_id)
            assert found.order is not None
            words.append(found.order.status)
            assert [a.order_id for a in found.attempts] == (
                [] if found.order.status == "created" else [each.order_id]
            )
    return words


def batches_of(gateway: CountingGateway, count: int) -> list[list[OldPayment]]:
    sold = [sale for number in range(count) if (sale := sell(gateway, number))]
    return [sold[start : start + 500] for start in range(0, count, 500)]


@pytest.mark.anyio
async def test_each_time_is_read_once_and_no_order_is_asked_for_by_itself() -> None:
    gateway = CountingGateway(FrozenClock(START + timedelta(days=3)))
    batches = batches_of(gateway, 2000)
    # One row says that it is of years ago. It is asked about by itself.
    batches[2][7].created_at = START - timedelta(days=3000)

    words = await find_all(GatewayOrders(gateway, Pace(100_000), gateway._clock), batches)

    assert Counter(words) == {"paid": 667, "attempted": 667, "created": 666}
    lists = gateway.calls["list Order"] + gateway.calls["list GatewayPayment"]
    assert lists < 2 * 2000 / 50, gateway.calls
    assert gateway.calls["order"] + gateway.calls["payments"] < 10, gateway.calls


@pytest.mark.anyio
async def test_where_most_orders_are_of_others_each_is_asked_for() -> None:
    gateway = CountingGateway(FrozenClock(START + timedelta(days=3)))
    batches = [batches_of(gateway, 500)[0][:200]]
    for number in range(20_000):
        gateway.orders[f"order_other{number:08}"] = Order(
            f"order_other{number:08}", 1, "INR", "created", created_at=int(START.timestamp()) + number // 5
        )  # fmt: skip

    await find_all(GatewayOrders(gateway, Pace(100_000), gateway._clock), batches)

    assert gateway.calls["order"] == 200
    assert gateway.calls["list Order"] < 150, gateway.calls
