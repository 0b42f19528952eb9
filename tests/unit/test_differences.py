"""What differs between a payment and the gateway's record of its order."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kernapay.gateway.base import GatewayPayment, GatewayRefund, OddEntity, Order
from kernapay.payments.models import Payment, Refund, SurplusPayment
from kernapay.payments.states import RefundState, Status
from kernapay.reconciliation.differences import (
    Difference,
    compare,
    describe,
    find_unsettled,
    is_same_amount,
    refunds_agree,
    unreadable,
)
from kernapay.reconciliation.models import Kind

Found = list[tuple[str, str | None, str | None, str | None]]


def ours(*surplus: str, **changes: Any) -> Payment:
    return Payment(
        **{
            "reference_id": "PAY_1",
            "amount": 1000,
            "currency": "INR",
            "status": Status.SUCCESS,
            "razorpay_order_id": "order_1",
            "razorpay_payment_id": "pay_1",
            "surplus_payments": [SurplusPayment(payment_id=each, amount=1000) for each in surplus],
            **changes,
        }
    )


def order(**changes: Any) -> Order:
    facts = {"id": "order_1", "amount": 1000, "currency": "INR", "status": "paid"}
    return Order(**{**facts, **changes})


def theirs(name: str = "pay_1", **changes: Any) -> GatewayPayment:
    facts = {"id": name, "amount": 1000, "currency": "INR", "status": "captured", "captured": True}
    return GatewayPayment(**{**facts, **changes})


def differences(payment: Payment, order: Order, *attempts: GatewayPayment) -> Found:
    found = compare(payment, order, attempts)
    assert all((each.payment, each.order_id) == (payment, order.id) for each in found)
    return [(d.kind.value, d.razorpay_payment_id, d.ours, d.theirs) for d in found]


def test_a_paid_payment_and_its_paid_order_agree() -> None:
    assert differences(ours(), order(), theirs()) == []
    assert differences(ours(status=Status.REFUNDED), order(), theirs(status="refunded")) == []


@pytest.mark.parametrize("status", ["created", "attempted"])
def test_an_unpaid_payment_and_its_unpaid_order_agree(status: str) -> None:
    failed = theirs(status="failed", captured=False)
    unpaid = ours(status=Status.PENDING)
    assert differences(unpaid, order(status=status), failed) == []


@pytest.mark.parametrize("changes", [{"amount": 999}, {"currency": "USD"}])
def test_an_order_over_something_else_differs_in_its_amount(changes: dict[str, Any]) -> None:
    other = order(**changes)
    assert not is_same_amount(ours(), other)
    assert differences(ours(), other, theirs()) == [
        ("amount", None, "1000 INR success", f"{other.amount} {other.currency} paid")
    ]


def test_money_there_that_is_none_here_differs_in_its_status() -> None:
    unpaid = ours(status=Status.FAILED)
    assert differences(unpaid, order(), theirs("pay_2")) == [("status", "pay_2", "failed", "paid")]
    assert differences(unpaid, order()) == [("status", None, "failed", "paid")]
    assert differences(unpaid, order(status="attempted"), theirs("pay_2")) == [
        ("status", "pay_2", "failed", "paid")
    ]


def test_money_here_that_is_none_there_differs_in_its_status() -> None:
    assert differences(ours(), order(status="attempted")) == [
        ("status", None, "success", "attempted")
    ]


def test_an_order_whose_money_came_too_late_agrees_with_an_unpaid_payment() -> None:
    late = ours("pay_2", status=Status.FAILED)
    assert differences(late, order(), theirs("pay_2")) == [
        ("second_payment", "pay_2", "pay_1", None)
    ]
    named = ours("pay_1", status=Status.FAILED)
    assert differences(named, order(), theirs()) == [("second_payment", "pay_1", "pay_1", None)]
    assert differences(late, order()) == []


def test_beside_money_of_which_nobody_heard_what_goes_back_is_compared_too() -> None:
    late = ours("pay_3", status=Status.FAILED)
    assert differences(late, order(), theirs("pay_2"), theirs("pay_3")) == [
        ("status", "pay_2", "failed", "paid"),
        ("second_payment", "pay_3", "pay_1", None),
    ]


def test_each_further_capture_is_a_difference_even_if_it_was_refunded() -> None:
    back = theirs("pay_2", status="refunded", amount_refunded=1000)
    third = theirs("pay_3")
    assert differences(ours("pay_2"), order(), theirs(), back, third) == [
        ("second_payment", "pay_2", "pay_1", None),
        ("second_payment", "pay_3", "pay_1", None),
    ]


def test_what_counts_is_no_surplus_although_an_earlier_version_entered_it() -> None:
    assert differences(ours("pay_1"), order(), theirs()) == []


def test_another_captured_amount_differs() -> None:
    sold = ours(amount_paid=1180)
    assert differences(sold, order(), theirs(amount=1180)) == []
    assert differences(sold, order(), theirs(amount=1181)) == [("amount", "pay_1", "1180", "1181")]


@pytest.mark.parametrize(
    ("there", "agrees"), [(None, False), (0, False), (300, True), (500, True), (501, False)]
)
def test_refunds_differ_unless_the_sum_is_ours_with_or_without_pending_ones(
    there: int | None, agrees: bool
) -> None:
    refunds = [
        Refund(amount=300, status=RefundState.PROCESSED),
        Refund(amount=200, status=RefundState.PENDING),
        Refund(amount=1, status=RefundState.FAILED),
    ]
    payment = ours(refunds=refunds, amount_refunded=300)
    found = differences(payment, order(), theirs(amount_refunded=there))
    assert found == ([] if agrees else [("refunds", "pay_1", "300", str(there or 0))])


@pytest.mark.parametrize(
    ("here", "there", "agrees"),
    [(20, 20, True), (20, 21, False), (None, 20, True), (20, None, True)],
)
def test_fees_differ_where_both_are_known(
    here: int | None, there: int | None, agrees: bool
) -> None:
    found = differences(ours(fee=here), order(), theirs(fee=there))
    assert found == ([] if agrees else [("fee", "pay_1", str(here), str(there))])


def refund(name: str, amount: int, status: str = "processed") -> GatewayRefund:
    return GatewayRefund(name, "pay_1", amount, "INR", status)


@pytest.mark.parametrize(
    ("refunds", "agree"),
    [
        ([refund("rfnd_1", 300)], True),
        ([refund("rfnd_1", 300), refund("rfnd_2", 9, "pending")], True),
        ([refund("rfnd_1", 301)], False),
        ([refund("rfnd_2", 300)], False),
        ([refund("rfnd_1", 300), refund("rfnd_2", 9)], False),
        ([refund("rfnd_1", 300, "failed")], False),
        ([], False),
    ],
)
def test_refunds_agree_if_the_same_ones_were_processed(
    refunds: list[GatewayRefund], agree: bool
) -> None:
    known = [
        Refund(refund_id="rfnd_1", amount=300, status=RefundState.PROCESSED),
        Refund(refund_id="rfnd_3", amount=5, status=RefundState.PENDING),
    ]
    assert refunds_agree(ours(refunds=known, amount_refunded=300), refunds) is agree
    assert not refunds_agree(ours(refunds=known, amount_refunded=299), refunds)


def test_captured_money_that_no_settlement_has_is_found() -> None:
    paid = ours(amount_paid=1180, paid_at=datetime(2026, 1, 2, tzinfo=UTC))
    assert find_unsettled(paid) == [
        Difference(
            Kind.UNSETTLED,
            paid,
            "order_1",
            "pay_1",
            ours="1180 INR captured on 2026-01-02",
            theirs="not settled",
        )
    ]
    (undated,) = find_unsettled(ours())
    assert undated.ours == "1000 INR captured"
    assert find_unsettled(ours(settled_at=datetime(2026, 1, 3, tzinfo=UTC))) == []
    assert find_unsettled(ours(status=Status.FAILED)) == []


def test_a_difference_is_about_our_reference_or_the_gateways_id() -> None:
    assert Difference(Kind.STATUS, ours(), "order_1", "pay_1").subject == "PAY_1"
    assert Difference(Kind.STATUS, None, "order_1", "pay_1").subject == "order_1"
    assert Difference(Kind.STATUS, razorpay_payment_id="pay_1").subject == "pay_1"


def test_records_are_described_in_one_line() -> None:
    assert describe(ours()) == "1000 INR success"
    assert describe(order()) == "1000 INR paid"


@pytest.mark.parametrize(
    ("name", "text"), [("pay_1", "pay_1: odd"), (None, "an entity without an id: odd")]
)
def test_what_cannot_be_read_is_named_as_far_as_it_can_be(name: str | None, text: str) -> None:
    found = unreadable(OddEntity("odd", name), "order_1", "pay_1")
    assert found == Difference(
        Kind.UNREADABLE, order_id="order_1", razorpay_payment_id="pay_1", theirs=text
    )
