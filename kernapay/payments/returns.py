"""Decide how much of a payment's money stays, and how much goes back to the customer. No other module does."""

from typing import NamedTuple

from kernapay.core.errors import Conflict
from kernapay.gateway.base import GatewayPayment
from kernapay.payments.models import Dispute, Payment, SurplusPayment
from kernapay.payments.states import ENQUIRIES, DisputeStatus, RefundState, Status


class PaymentReturned(Conflict):
    """The payment was paid, but all of its money went back to the customer, or is on its way. Deliver nothing."""

    code = "payment_returned"
    title = "Payment returned"


class Hold(NamedTuple):
    """The effect of a dispute on the money of its payment, in minor units."""

    held: int
    """What may not be refunded: the bank has returned it, or may do so."""
    lost: int
    """What the bank has returned for good."""


def is_counted(payment: Payment, payment_id: str) -> bool:
    """Return whether a payment of the gateway is the one that the sale was paid with.

    An unpaid sale may name one too: an attempt that failed, and whose money may come late.
    """
    return payment.status.is_paid and payment.razorpay_payment_id == payment_id


def find_surplus(payment: Payment, payment_id: str) -> SurplusPayment | None:
    """Return the entry of a gateway's payment that goes back as surplus, or None. The one that counts never does."""
    if is_counted(payment, payment_id):
        return None
    return next((each for each in payment.surplus_payments if each.payment_id == payment_id), None)


def judge_dispute(payment: Payment, dispute: Dispute) -> Hold:
    """Return how much of its payment a dispute holds, and how much of that is lost.

    Razorpay: `amount_deducted` is 0 until a dispute is lost, but some accounts are charged when it is raised, and get
    the money back when it is won.
    """
    if dispute.status is DisputeStatus.WON:
        return Hold(0, 0)
    is_enquiry = dispute.phase in ENQUIRIES
    amount, deducted = dispute.amount, dispute.amount_deducted
    if dispute.currency != payment.currency:
        # The amounts cannot be compared, so the whole payment is at stake.
        amount, deducted = payment.amount_captured, payment.amount_captured if deducted else 0
    if dispute.status is DisputeStatus.CLOSED:
        return Hold(deducted, deducted)
    if dispute.status is DisputeStatus.LOST:
        gone = deducted or (0 if is_enquiry else amount)
        return Hold(gone, gone)
    return Hold(deducted if is_enquiry else max(amount, deducted), 0)


def disputes_of_money(payment: Payment, payment_id: str | None = None) -> list[Dispute]:
    """Return the disputes about the payment that counts, or about another one of the order, by the gateway's id."""
    wanted = payment_id or payment.razorpay_payment_id
    return [dispute for dispute in payment.disputes if dispute.payment_id == wanted]


def sum_held(payment: Payment, payment_id: str | None = None) -> int:
    """Return what disputes keep from being refunded, in minor units."""
    return sum(dispute.held for dispute in disputes_of_money(payment, payment_id))


def sum_lost(payment: Payment, payment_id: str | None = None) -> int:
    """Return what disputes have taken for good, in minor units."""
    return sum(dispute.lost for dispute in disputes_of_money(payment, payment_id))


def sum_reserved(payment: Payment) -> int:
    """Return what is refunded or being refunded, in minor units."""
    return sum(r.amount for r in payment.refunds if r.status != RefundState.FAILED)


def sum_remaining(payment: Payment) -> int:
    """Return what is left to refund, in minor units: refunds under way and what disputes hold are subtracted."""
    return max(0, payment.amount_captured - sum_reserved(payment) - sum_held(payment))


def require_kept(payment: Payment, gateway_payment: GatewayPayment | None = None) -> None:
    """Raise PaymentReturned if nothing is left of a paid payment, by our record or by the gateway's."""
    lost = sum_lost(payment)
    is_returned = (
        payment.status is Status.REFUNDED
        or payment.amount_captured - sum_reserved(payment) - lost < 1
    )
    if gateway_payment is not None:
        returned_there = gateway_payment.amount_refunded or 0
        is_returned |= (
            gateway_payment.status == "refunded" or returned_there >= gateway_payment.amount
        )
    if is_returned:
        raise PaymentReturned(
            "This payment was paid, but its money was returned to the customer or is being returned. "
            "Deliver nothing for it."
        )
