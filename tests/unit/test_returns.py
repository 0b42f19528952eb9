"""What a dispute holds of its payment, and what of it is lost: the whole table."""

import pytest

from kernapay.payments.models import Dispute, Payment, Refund
from kernapay.payments.returns import (
    PaymentReturned,
    judge_dispute,
    require_kept,
    sum_held,
    sum_remaining,
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
