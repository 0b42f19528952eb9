"""Which payment of the gateway fits ours, and which attempt decides about an order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.gateway.base import GatewayPayment, GatewayRefund, GatewayUnknown, Order
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.matching import (
    MISMATCH_REASONS,
    best_attempt,
    build_mismatch,
    confirm_amount,
    confirm_unpaid,
    explain_mismatch,
    find_mismatch,
    is_order_of,
    is_refund_of,
)
from kernapay.payments.models import Payment
from kernapay.payments.states import Event, Source, Status
from tests.money.fake_gateway import FakeGateway

pytestmark = pytest.mark.anyio
ID = ObjectId()
CAPTURED: dict[str, Any] = {"status": "captured", "captured": True}


def ours(**changes: Any) -> Payment:
    return Payment(
        **{
            "id": ID,
            "amount": 50_000,
            "currency": "INR",
            "status": Status.PENDING,
            "razorpay_order_id": "order_1",
            **changes,
        }
    )


def theirs(**changes: Any) -> GatewayPayment:
    facts = {"id": "pay_1", "amount": 50_000, "currency": "INR", "order_id": "order_1"}
    return GatewayPayment(**{**facts, **CAPTURED, **changes})


def order(**changes: Any) -> Order:
    facts = {"id": "order_1", "amount": 50_000, "currency": "INR", "status": "paid"}
    return Order(**{**facts, "receipt": f"KP_{ID}", **changes})


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(now)


def keep(gateway: FakeGateway, payment: GatewayPayment, order: Order) -> GatewayPayment:
    gateway.orders[order.id] = order
    gateway.payments[payment.id] = payment
    return payment


@pytest.mark.parametrize("event", [None, Event.CAPTURED])
async def test_what_was_ordered_fits_without_another_question(
    gateway: FakeGateway, event: Event | None
) -> None:
    assert await find_mismatch(gateway, ours(), theirs(), event) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_id": "order_2"}, "order"),
        ({"order_id": None}, "order"),
        ({"currency": "USD"}, "currency"),
        ({"status": "authorized", "captured": False}, "status"),
        ({"order_id": "order_2", "currency": "USD"}, "order"),
        ({"currency": "USD", "amount": 1}, "currency"),
    ],
)
async def test_the_first_thing_that_does_not_fit_is_named(
    gateway: FakeGateway, changes: dict[str, Any], reason: str
) -> None:
    assert await find_mismatch(gateway, ours(), theirs(**changes), Event.CAPTURED) == reason


@pytest.mark.parametrize(
    ("event", "status", "captured", "fits"),
    [
        (Event.CAPTURED, "captured", False, True),
        (Event.CAPTURED, "refunded", True, True),
        (Event.CAPTURED, "refunded", False, False),
        (Event.CAPTURED, "failed", False, False),
        (Event.DECLINED, "failed", False, True),
        (Event.DECLINED, "refunded", False, True),
        (Event.DECLINED, "created", False, False),
        (Event.DECLINED, "authorized", False, False),
        (Event.DECLINED, "captured", True, False),
        (Event.DECLINED, "refunded", True, False),
        (Event.AUTHORIZED, "authorized", False, True),
        (Event.AUTHORIZED, "captured", True, True),
        (None, "failed", False, True),
    ],
)
async def test_an_event_has_to_fit_the_status_at_the_gateway(
    gateway: FakeGateway, event: Event | None, status: str, captured: bool, fits: bool
) -> None:
    found = await find_mismatch(gateway, ours(), theirs(status=status, captured=captured), event)
    assert found == (None if fits else "status")


@pytest.mark.parametrize("event", [Event.DECLINED, Event.AUTHORIZED])
async def test_without_money_its_amount_is_no_matter(gateway: FakeGateway, event: Event) -> None:
    status = "failed" if event is Event.DECLINED else "authorized"
    attempt = theirs(amount=1, status=status, captured=False)
    assert await find_mismatch(gateway, ours(), attempt, event) is None


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"status": "attempted"}, False),
        ({"amount": 50_001}, False),
        ({"currency": "USD"}, False),
        ({"receipt": "KP_another"}, False),
    ],
)
async def test_another_amount_fits_if_the_order_is_ours_and_paid(
    gateway: FakeGateway, changes: dict[str, Any], fits: bool
) -> None:
    paid = keep(gateway, theirs(amount=51_180), order(**changes))
    found = await find_mismatch(gateway, ours(), paid, Event.CAPTURED)
    assert found == (None if fits else "amount")


async def test_of_an_authorised_payment_the_order_need_not_be_paid(gateway: FakeGateway) -> None:
    attempt = theirs(amount=45_000, status="authorized", captured=False)
    keep(gateway, attempt, order(status="attempted"))
    assert await find_mismatch(gateway, ours(), attempt) is None


async def test_another_amount_is_believed_when_it_is_said_twice(gateway: FakeGateway) -> None:
    paid = keep(gateway, theirs(amount=51_180), order())
    gateway.payments["pay_1"] = theirs(amount=51_187)
    with pytest.raises(GatewayUnknown, match="two amounts"):
        await find_mismatch(gateway, ours(), paid, Event.CAPTURED)
    with pytest.raises(GatewayUnknown, match="two amounts"):
        await confirm_amount(gateway, paid)
    await confirm_amount(gateway, theirs(amount=51_187))


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.REFUNDED])
async def test_what_was_paid_for_a_sale_is_compared_with_what_we_stored(
    gateway: FakeGateway, status: Status
) -> None:
    sold = ours(status=status, razorpay_payment_id="pay_1", amount_paid=51_180)
    keep(gateway, theirs(), order())
    assert await find_mismatch(gateway, sold, theirs(amount=51_180)) is None
    assert await find_mismatch(gateway, sold, theirs()) == "amount", "nobody is asked"


async def test_a_second_payment_of_another_amount_is_looked_up(gateway: FakeGateway) -> None:
    sold = ours(status=Status.SUCCESS, razorpay_payment_id="pay_1", amount_paid=51_180)
    second = keep(gateway, theirs(id="pay_2", amount=52_000), order())
    assert await find_mismatch(gateway, sold, second) is None
    assert await find_mismatch(gateway, sold, theirs(id="pay_2")) is None


async def test_an_attempt_that_failed_and_is_paid_later_is_looked_up(gateway: FakeGateway) -> None:
    unpaid = ours(status=Status.FAILED, razorpay_payment_id="pay_1")
    paid = keep(gateway, theirs(amount=51_180), order())
    assert await find_mismatch(gateway, unpaid, paid, Event.CAPTURED) is None


async def test_without_an_order_an_amount_cannot_be_looked_up(gateway: FakeGateway) -> None:
    attempt = theirs(order_id=None, amount=1)
    assert await find_mismatch(gateway, ours(razorpay_order_id=None), attempt) == "amount"


@pytest.mark.parametrize(
    ("changes", "is_unpaid"),
    [
        ({"status": "created"}, True),
        ({"status": "attempted"}, True),
        ({"status": "paid"}, False),
        ({"status": "attempted", "amount_paid": 1}, False),
    ],
)
async def test_an_order_with_money_in_it_is_not_unpaid(
    gateway: FakeGateway, changes: dict[str, Any], is_unpaid: bool
) -> None:
    gateway.orders["order_1"] = order(**changes)
    if is_unpaid:
        await confirm_unpaid(gateway, "order_1")
        return
    with pytest.raises(GatewayUnknown, match="calls the order paid"):
        await confirm_unpaid(gateway, "order_1")


async def test_an_order_that_the_gateway_does_not_know_is_unpaid(gateway: FakeGateway) -> None:
    await confirm_unpaid(gateway, "order_of_another_account")


@pytest.mark.parametrize(
    "changes", [{"id": "order_2"}, {"amount": 1}, {"currency": "USD"}, {"receipt": None}]
)
async def test_an_order_is_ours_by_its_id_amount_currency_and_receipt(
    changes: dict[str, Any],
) -> None:
    assert is_order_of(ours(), order())
    assert not is_order_of(ours(), order(**changes))
    assert is_order_of(ours(receipt="SHOP_1"), order(receipt="SHOP_1"))


async def test_every_reason_has_a_sentence() -> None:
    for reason in MISMATCH_REASONS:
        assert explain_mismatch(reason).endswith(". Nothing was changed.")
    assert "second payment" in explain_mismatch("second_payment")


async def test_a_mismatch_keeps_all_that_was_told() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    origin = Origin(Source.WEBHOOK, "payment.captured", event_id="evt_1", actor="key:1")
    mismatch = build_mismatch(Evidence(origin, theirs(amount=7)), "amount", at)
    assert mismatch.to_mongo() == {
        "at": at,
        "source": "webhook",
        "reason": "amount",
        "event": "payment.captured",
        "eventId": "evt_1",
        "actor": "key:1",
        "orderId": "order_1",
        "paymentId": "pay_1",
        "amount": 7,
        "currency": "INR",
    }


def attempt(name: str, status: str, at: int = 0) -> GatewayPayment:
    return theirs(id=name, status=status, captured=False, created_at=at)


@pytest.mark.parametrize(
    ("attempts", "best"),
    [
        ([], None),
        ([("a", "a_new_status")], None),
        ([("a", "failed"), ("b", "captured")], "b"),
        ([("a", "authorized"), ("b", "captured")], "b"),
        ([("a", "refunded"), ("b", "authorized")], "b"),
        ([("a", "created"), ("b", "refunded")], "b"),
        ([("a", "failed"), ("b", "created")], "b"),
        ([("a", "a_new_status"), ("b", "failed")], "b"),
    ],
)
async def test_the_attempt_with_the_most_decisive_status_decides(
    attempts: list[tuple[str, str]], best: str | None
) -> None:
    for order in (attempts, list(reversed(attempts))):
        found = best_attempt(attempt(*each) for each in order)
        assert (found.id if found else None) == best


async def test_of_attempts_with_one_status_the_newest_decides_then_the_smallest_id() -> None:
    older, newer = attempt("a", "failed", at=1), attempt("b", "failed", at=2)
    assert best_attempt([older, newer]) == best_attempt([newer, older]) == newer
    twin = attempt("c", "failed", at=2)
    assert best_attempt([newer, twin]) == best_attempt([twin, newer]) == newer


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"amount": 1}, True),
        ({"amount": 0}, False),
        ({"amount": 50_001}, False),
        ({"currency": "USD"}, False),
        ({"payment_id": "pay_2"}, False),
    ],
)
def test_nobody_returns_more_than_came_in(changes: dict[str, Any], expected: bool) -> None:
    paid = GatewayPayment(id="pay_1", amount=50_000, currency="INR", **CAPTURED)
    facts = {"payment_id": "pay_1", "amount": 50_000, "currency": "INR", **changes}
    assert is_refund_of(paid, GatewayRefund(id="rfnd_1", status="processed", **facts)) is expected
