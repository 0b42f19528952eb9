"""Which refunds a payment admits, and what is said of the others."""

from typing import Any

import pytest

from kernapay.payments.dtos import RefundCreate
from kernapay.payments.idempotency import fingerprint
from kernapay.payments.models import Dispute, Payment, Refund
from kernapay.payments.refund_checks import (
    NotRefundable,
    PaymentDisputed,
    RefundKeyReused,
    TooManyRefunds,
    check_amount,
    check_same_content,
    explain_refusal,
    too_many,
    warn_of_enquiries,
)
from kernapay.payments.states import DisputeStatus, RefundState, Status

MOST = 4


def payment(*refunds: int, failed: int = 0, **changes: Any) -> Payment:
    made = [Refund(amount=amount, status=RefundState.PROCESSED) for amount in refunds]
    made += [Refund(amount=1000, status=RefundState.FAILED)] * failed
    return Payment(
        **{
            "amount": 1000,
            "currency": "INR",
            "status": Status.SUCCESS,
            "razorpay_payment_id": "pay_1",
            "refunds": made,
            **changes,
        }
    )


def dispute(**changes: Any) -> Dispute:
    facts = {"dispute_id": "disp_1", "payment_id": "pay_1", "amount": 300, "currency": "INR"}
    return Dispute(**{**facts, "phase": "chargeback", "status": DisputeStatus.OPEN, **changes})


@pytest.mark.parametrize(
    ("asked", "amount"), [(None, 400), (400, 400), (399, 399), (1, 1)], ids=str
)
def test_what_is_left_may_be_refunded(asked: int | None, amount: int) -> None:
    assert check_amount(payment(600), RefundCreate(amount=asked), MOST) == amount


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED, Status.REFUNDED])
def test_only_of_a_paid_payment(status: Status) -> None:
    with pytest.raises(NotRefundable):
        check_amount(payment(status=status), RefundCreate(amount=1), MOST)


def test_not_more_than_is_left() -> None:
    with pytest.raises(NotRefundable, match="at most 400 paise"):
        check_amount(payment(600), RefundCreate(amount=401), MOST)


def test_not_what_a_dispute_holds() -> None:
    disputed = payment(disputes=[dispute(held=300)])
    assert check_amount(disputed, RefundCreate(), MOST) == 700
    with pytest.raises(PaymentDisputed):
        check_amount(disputed, RefundCreate(amount=701), MOST)


@pytest.mark.parametrize(
    ("failed", "asked", "is_admitted"),
    [
        (2, 1, True),
        (3, 1, False),  # the last of four has to be all that remains
        (3, None, True),
        (7, 1000, True),  # it may be tried again
        (8, 1000, False),  # but not without end
    ],
)
def test_the_last_one_has_to_be_all_that_remains(
    failed: int, asked: int | None, is_admitted: bool
) -> None:
    tried = payment(failed=failed)
    if is_admitted:
        assert check_amount(tried, RefundCreate(amount=asked), MOST) == (asked or 1000)
        return
    with pytest.raises(TooManyRefunds, match=f"has {failed} refunds"):
        check_amount(tried, RefundCreate(amount=asked), MOST)


def test_too_many_refunds_say_what_can_still_be_done() -> None:
    error = too_many(payment(failed=7), MOST)
    assert error.field == "amount"
    assert error.detail == "This payment has 7 refunds. Refund all that remains at once."
    assert too_many(payment(failed=8), MOST).detail == (
        "This payment has 8 refunds. Return what remains in the gateway's dashboard."
    )


@pytest.mark.parametrize("amount", [None, 5])
def test_a_repeat_with_the_same_content_is_the_same_refund(amount: int | None) -> None:
    data = RefundCreate(amount=amount, reason="why")
    check_same_content(Refund(amount=5, fingerprint=fingerprint(data)), data)


def test_a_key_with_other_content_is_refused() -> None:
    made = Refund(amount=5, fingerprint=fingerprint(RefundCreate(amount=5, reason="why")))
    with pytest.raises(RefundKeyReused) as refused:
        check_same_content(made, RefundCreate(amount=5, reason="why not"))
    assert refused.value.field == "idempotencyKey"


def test_of_a_refund_that_a_restore_lost_only_the_amount_is_known() -> None:
    found = Refund(amount=5)
    check_same_content(found, RefundCreate(amount=5, reason="any"))
    check_same_content(found, RefundCreate())
    with pytest.raises(RefundKeyReused):
        check_same_content(found, RefundCreate(amount=6))


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
def test_an_unpaid_payment_says_what_it_is(status: Status) -> None:
    error = explain_refusal(payment(status=status, disputes=[dispute(held=300)]), 1)
    assert type(error) is NotRefundable
    assert error.detail.endswith(f"This one is {status.value}.")


def test_a_returned_payment_says_that_nothing_is_left() -> None:
    error = explain_refusal(payment(1000, status=Status.REFUNDED), 1)
    assert (type(error), error.field) == (NotRefundable, "amount")
    assert error.detail.startswith("Nothing is left")


def test_the_last_paisa_is_left() -> None:
    error = explain_refusal(payment(999), 2)
    assert (type(error), error.field) == (NotRefundable, "amount")
    assert error.detail.startswith("Must be at most 1 paise (₹0.01)")


@pytest.mark.parametrize(
    ("refunded", "held", "asked", "is_disputed"),
    [
        (0, 300, 1000, True),
        (0, 300, 1001, False),  # without the dispute it would be too much as well
        (600, 300, 400, True),
        (600, 300, 401, False),
        (0, 0, 1001, False),
        (0, 1000, 0, True),  # all that remains, which is nothing
        (999, 1, 0, True),
        (1000, 300, 0, False),
    ],
)
def test_a_dispute_is_the_reason_if_without_it_the_refund_would_be_admitted(
    refunded: int, held: int, asked: int, is_disputed: bool
) -> None:
    disputed = payment(refunded, disputes=[dispute(held=held)])
    error = explain_refusal(disputed, asked)
    assert (type(error), error.field) == (
        (PaymentDisputed, "amount") if is_disputed else (NotRefundable, "amount")
    )


def test_the_disputes_that_hold_money_are_named_with_what_is_left() -> None:
    disputes = [
        dispute(held=300),
        dispute(dispute_id="disp_2", held=0),
        dispute(dispute_id="disp_3", held=9, payment_id="pay_2"),
        dispute(dispute_id="disp_4", held=1, status=DisputeStatus.LOST),
    ]
    error = explain_refusal(payment(disputes=disputes), 1000)
    assert error.detail == (
        "The customer's bank has returned this money, or may return it, so a refund would return it twice. "
        "Disputed: disp_1 (chargeback, open), disp_4 (chargeback, lost). "
        "At most 699 paise (₹6.99) is left to refund."
    )
    whole = payment(disputes=[dispute(held=1000)])
    assert explain_refusal(whole, 1).detail.endswith("Nothing else is left to refund.")


@pytest.mark.parametrize(
    ("changes", "is_warned"),
    [
        ({"phase": "fraud"}, True),
        ({"phase": "retrieval", "status": DisputeStatus.UNDER_REVIEW}, True),
        ({"phase": "chargeback"}, False),
        ({"phase": "fraud", "status": DisputeStatus.CLOSED}, False),
        ({"phase": "fraud", "payment_id": "pay_2"}, False),
    ],
)
def test_a_refund_during_an_enquiry_is_made_with_a_warning(
    changes: dict[str, Any], is_warned: bool
) -> None:
    warning = warn_of_enquiries(payment(disputes=[dispute(**changes)]))
    assert (warning is not None) is is_warned


def test_a_warning_names_every_enquiry() -> None:
    enquiries = [dispute(phase="fraud"), dispute(dispute_id="disp_2", phase="retrieval")]
    assert warn_of_enquiries(payment(disputes=enquiries)) == (
        "The customer's bank enquires about this payment: disp_1 (fraud), disp_2 (retrieval). "
        "Answer it in the gateway's dashboard, with this refund as proof."
    )
