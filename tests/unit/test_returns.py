"""What of a payment stays and what goes back; what a dispute holds of it, and what of that is lost: the whole table."""

from typing import Any

import pytest

from kernapay.gateway.base import GatewayPayment
from kernapay.payments.models import Dispute, Payment, Refund, SurplusPayment
from kernapay.payments.returns import (
    PaymentReturned,
    disputes_of_money,
    find_surplus,
    is_counted,
    judge_dispute,
    require_kept,
    sum_held,
    sum_lost,
    sum_remaining,
    sum_reserved,
)
from kernapay.payments.states import DisputeStatus, RefundState, Status

OURS, SECOND = "pay_ours", "pay_second"


def payment_with(*disputes: Dispute, refunded: int = 0) -> Payment:
    refunds = [Refund(amount=refunded, status=RefundState.PROCESSED)] if refunded else []
    return Payment(
        amount=1000,
        currency="INR",
        status=Status.SUCCESS,
        razorpay_payment_id=OURS,
        disputes=list(disputes),
        refunds=refunds,
    )


def dispute(status: str, phase: str, amount: int, deducted: int, currency: str = "INR") -> Dispute:
    return Dispute(
        dispute_id="disp_1",
        payment_id=OURS,
        amount=amount,
        currency=currency,
        amount_deducted=deducted,
        phase=phase,
        status=DisputeStatus(status),
    )


@pytest.mark.parametrize(
    ("status", "phase", "amount", "deducted", "held", "lost"),
    [
        ("open", "chargeback", 300, 0, 300, 0),
        ("open", "chargeback", 300, 300, 300, 0),  # taken at the onset
        ("open", "chargeback", 300, 350, 350, 0),  # with a fee
        ("under_review", "arbitration", 300, 0, 300, 0),
        ("open", "a_new_phase", 300, 0, 300, 0),
        ("open", "fraud", 300, 0, 0, 0),
        ("under_review", "retrieval", 300, 0, 0, 0),
        ("open", "fraud", 300, 300, 300, 0),  # whoever took the money has it
        ("won", "chargeback", 300, 300, 0, 0),
        ("won", "fraud", 300, 0, 0, 0),
        ("lost", "chargeback", 300, 300, 300, 300),
        ("lost", "chargeback", 300, 100, 100, 100),  # in part
        ("lost", "chargeback", 300, 0, 300, 300),  # the sum comes later
        ("lost", "fraud", 300, 0, 0, 0),  # accepted: the shop has to refund
        ("lost", "fraud", 300, 300, 300, 300),
        ("closed", "fraud", 300, 0, 0, 0),
        ("closed", "fraud", 300, 300, 300, 300),
    ],
)
def test_a_dispute_holds_what_the_bank_has_or_may_take(
    status: str, phase: str, amount: int, deducted: int, held: int, lost: int
) -> None:
    assert judge_dispute(payment_with(), dispute(status, phase, amount, deducted)) == (held, lost)


@pytest.mark.parametrize(
    ("status", "phase", "deducted", "held", "lost"),
    [
        ("open", "chargeback", 0, 1000, 0),
        ("open", "fraud", 0, 0, 0),
        ("open", "fraud", 3, 1000, 0),  # whoever took the money has it
        ("lost", "chargeback", 3, 1000, 1000),
        ("won", "chargeback", 3, 0, 0),
    ],
)
def test_in_another_currency_the_whole_payment_is_at_stake(
    status: str, phase: str, deducted: int, held: int, lost: int
) -> None:
    foreign = dispute(status, phase, 3, deducted, currency="USD")
    assert judge_dispute(payment_with(), foreign) == (held, lost)


def test_disputes_of_a_second_payment_hold_nothing_of_the_first() -> None:
    first, second = dispute("open", "chargeback", 300, 0), dispute("lost", "chargeback", 1000, 1000)
    first.held, second.held, second.lost, second.payment_id = 300, 1000, 1000, SECOND
    payment = payment_with(first, second)
    assert (sum_held(payment), sum_held(payment, SECOND), sum_remaining(payment)) == (
        300,
        1000,
        700,
    )
    require_kept(payment)


def test_what_is_held_and_refunded_may_be_more_than_was_paid() -> None:
    each = dispute("open", "chargeback", 1000, 0)
    each.held = 1000
    payment = payment_with(each, refunded=400)
    assert sum_remaining(payment) == 0
    require_kept(payment)
    each.lost = 600
    with pytest.raises(PaymentReturned):
        require_kept(payment)


def test_disputes_count_for_the_payment_that_they_are_about() -> None:
    first, second = dispute("lost", "chargeback", 300, 300), dispute("lost", "chargeback", 500, 500)
    first.lost, second.lost, second.payment_id = 300, 500, SECOND
    payment = payment_with(first, second)
    assert (sum_lost(payment), sum_lost(payment, OURS), sum_lost(payment, SECOND)) == (
        300,
        300,
        500,
    )
    assert disputes_of_money(payment) == disputes_of_money(payment, OURS) == [first]
    assert disputes_of_money(payment, SECOND) == [second]


@pytest.mark.parametrize("status", list(Status))
def test_a_payment_of_the_gateway_counts_if_the_sale_was_paid_with_it(status: Status) -> None:
    payment = payment_with()
    payment.status = status
    assert is_counted(payment, OURS) is status.is_paid
    assert not is_counted(payment, SECOND)


def test_surplus_is_found_by_its_payment_but_never_what_counts() -> None:
    payment = payment_with()
    entries = [SurplusPayment(payment_id=each, amount=1000) for each in ("pay_other", SECOND, OURS)]
    payment.surplus_payments = entries
    assert find_surplus(payment, SECOND) is entries[1]
    assert find_surplus(payment, "pay_of_nobody") is None
    assert find_surplus(payment, OURS) is None
    payment.status = Status.FAILED
    assert find_surplus(payment, OURS) is entries[2], "an attempt whose money came too late"


def test_refunds_are_reserved_until_they_fail() -> None:
    payment = payment_with()
    payment.refunds = [Refund(amount=10**n, status=state) for n, state in enumerate(RefundState)]
    assert [state.value for state in RefundState][-1] == "failed"
    assert sum_reserved(payment) == 111
    assert sum_remaining(payment) == 889


@pytest.mark.parametrize(("refunded", "is_kept"), [(999, True), (1000, False), (1001, False)])
def test_what_is_left_to_the_last_paisa_is_kept(refunded: int, is_kept: bool) -> None:
    payment = payment_with(refunded=refunded)
    if is_kept:
        require_kept(payment)
        return
    with pytest.raises(PaymentReturned):
        require_kept(payment)


def test_a_refunded_payment_is_returned_whatever_its_sums_say() -> None:
    payment = payment_with()
    payment.status = Status.REFUNDED
    with pytest.raises(PaymentReturned):
        require_kept(payment)
    with pytest.raises(PaymentReturned):
        require_kept(payment, theirs())


def theirs(**changes: Any) -> GatewayPayment:
    return GatewayPayment(
        **{"id": OURS, "amount": 1000, "currency": "INR", "status": "captured", **changes}
    )


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({}, True),
        ({"amount_refunded": 999}, True),
        ({"amount_refunded": 1000}, False),
        ({"amount_refunded": 1001}, False),
        ({"status": "refunded"}, False),
        ({"status": "refunded", "amount_refunded": 999}, False),
    ],
)
def test_the_gateway_may_know_of_returns_of_which_we_have_not_heard(
    changes: dict[str, Any], is_kept: bool
) -> None:
    if is_kept:
        require_kept(payment_with(), theirs(**changes))
        return
    with pytest.raises(PaymentReturned):
        require_kept(payment_with(), theirs(**changes))


def test_a_payment_of_one_paisa_is_kept() -> None:
    payment = payment_with()
    payment.amount = 1
    require_kept(payment, theirs(amount=1))
