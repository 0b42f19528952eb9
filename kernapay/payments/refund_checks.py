"""Check a refund before the gateway is asked: amount and number. These checks are cheap; the ledger decides."""

from kernapay.core.errors import Conflict, RetryLater
from kernapay.payments.currencies import explain_amount
from kernapay.payments.dtos import RefundCreate
from kernapay.payments.idempotency import fingerprint
from kernapay.payments.models import Payment, Refund
from kernapay.payments.returns import disputes_of_money, sum_held, sum_remaining, sum_reserved
from kernapay.payments.states import ENQUIRIES, Status
from kernapay.security.guards import require_fresh_proof
from kernapay.security.principal import Principal


class NotRefundable(Conflict):
    """The payment is not paid, or less than this amount is left to refund."""

    code = "not_refundable"


class PaymentDisputed(Conflict):
    """A dispute holds this part of the payment: the bank has returned it to the customer, or may do so."""

    code = "payment_disputed"
    title = "Payment disputed"


class TooManyRefunds(Conflict):
    """The payment has as many refunds as it may have.

    Only all that remains can still be refunded, at once. After too many attempts, only the gateway's dashboard can.
    """

    code = "too_many_refunds"


class RefundKeyReused(Conflict):
    """The idempotency key was used for a refund with other content. Use another key."""

    code = "idempotency_key_reused"


class RefundRejected(Conflict):
    """The gateway refused the refund for good. Use another idempotency key for another attempt."""

    code = "refund_rejected"


class RefundInProgress(RetryLater):
    """Another request with this key is still running. Repeat the call."""

    code = "in_progress"
    title = "Still in progress"


def check_amount(payment: Payment, data: RefundCreate, max_refunds: int) -> int:
    """Return the amount to refund, as the ledger will judge it again.

    Raises NotRefundable if this payment has less left, or was not paid, PaymentDisputed, and TooManyRefunds.
    """
    remaining = sum_remaining(payment)
    amount = data.amount if data.amount is not None else remaining
    if payment.status is not Status.SUCCESS or not 1 <= amount <= remaining:
        raise explain_refusal(payment, amount)
    count, is_rest = len(payment.refunds), amount == remaining
    if count >= max_refunds - 1 and not (is_rest and count < 2 * max_refunds):
        raise too_many(payment, max_refunds)
    return amount


def check_proof(actor: Principal, payment: Payment, amount: int, limit: int) -> None:
    """Raise ProofRequired if this refund, together with those before, is over the limit and the proof is old.

    Together, or many small refunds would pass where a large one does not. `limit` is in minor units.
    """
    if sum_reserved(payment) + amount > limit:
        require_fresh_proof(actor)


def too_many(payment: Payment, max_refunds: int) -> TooManyRefunds:
    """Return the error for a payment with as many refunds as it may have."""
    count = len(payment.refunds)
    advice = (
        "Refund all that remains at once."
        if count < 2 * max_refunds
        else "Return what remains in the gateway's dashboard."
    )
    return TooManyRefunds(f"This payment has {count} refunds. {advice}", field="amount")


def check_same_content(refund: Refund, data: RefundCreate) -> None:
    """Raise RefundKeyReused if the key of this refund comes with other content.

    For a refund that a restore lost, only the amount can be compared: the gateway knows no more.
    """
    is_same = (
        data.amount in (None, refund.amount)
        if refund.fingerprint is None
        else refund.fingerprint == fingerprint(data)
    )
    if not is_same:
        raise RefundKeyReused(
            "A refund with other content was made with this key. Use another key.",
            field="idempotencyKey",
        )


def explain_refusal(payment: Payment, amount: int) -> NotRefundable | PaymentDisputed:
    """Return the error that says how much of this payment can be refunded, and why not this amount."""
    if not payment.status.is_paid:
        return NotRefundable(
            f"Only a paid payment can be refunded. This one is {payment.status.value}."
        )
    remaining = sum_remaining(payment)
    if sum_held(payment) and max(amount, 1) <= payment.amount_captured - sum_reserved(payment):
        return _explain_hold(payment, remaining)
    if remaining < 1:
        return NotRefundable(
            "Nothing is left: the whole payment is refunded or being refunded.", field="amount"
        )
    limit = explain_amount(remaining, payment.currency)
    return NotRefundable(f"Must be at most {limit}: that is left to refund.", field="amount")


def warn_of_enquiries(payment: Payment) -> str | None:
    """Return a sentence about the bank's open enquiries into a payment; None without one.

    Razorpay: an enquiry may be ended by a refund. If it is not answered, it may become a chargeback.
    """
    enquiries = [
        f"{dispute.dispute_id} ({dispute.phase})"
        for dispute in disputes_of_money(payment)
        if dispute.phase in ENQUIRIES and not dispute.status.is_decided
    ]
    if not enquiries:
        return None
    return (
        f"The customer's bank enquires about this payment: {', '.join(enquiries)}. "
        "Answer it in the gateway's dashboard, with this refund as proof."
    )


def _explain_hold(payment: Payment, remaining: int) -> PaymentDisputed:
    holding = [dispute for dispute in disputes_of_money(payment) if dispute.held]
    named = ", ".join(f"{each.dispute_id} ({each.phase}, {each.status.value})" for each in holding)
    left = (
        f"At most {explain_amount(remaining, payment.currency)} is left to refund."
        if remaining
        else "Nothing else is left to refund."
    )
    return PaymentDisputed(
        "The customer's bank has returned this money, or may return it, so a refund would return it twice. "
        f"Disputed: {named}. {left}",
        field="amount",
    )
