"""Judge whether the money of a payment stays, or goes back to the customer. Nothing else decides that."""

from kernapay.core.errors import Conflict
from kernapay.gateway.base import GatewayPayment
from kernapay.payments.models import Payment
from kernapay.payments.states import RefundState, Status


class PaymentReturned(Conflict):
    """The payment was paid, but all of its money went back to the customer, or is on its way. Deliver nothing."""

    code = "payment_returned"
    title = "Payment returned"


def sum_remaining(payment: Payment) -> int:
    """Return what is left to refund, in minor units: refunds under way are subtracted too."""
    reserved = sum(r.amount for r in payment.refunds if r.status != RefundState.FAILED)
    return payment.amount_captured - reserved


def require_kept(payment: Payment, gateway_payment: GatewayPayment | None = None) -> None:
    """Raise PaymentReturned if nothing is left of a paid payment, by our record or by the gateway's."""
    is_returned = payment.status is Status.REFUNDED or sum_remaining(payment) < 1
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
