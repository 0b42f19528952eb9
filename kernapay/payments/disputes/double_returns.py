"""Find money that went back twice: by a refund, and by the customer's bank."""

from typing import NamedTuple

from kernapay.gateway.base import PaymentGateway
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.returns import find_surplus, is_counted, sum_lost, sum_reserved
from kernapay.payments.surplus_refunds import look_at_surplus

REASON = "dispute_lost_after_refund"


class Returned(NamedTuple):
    """The money of a disputed payment that went back, and how much more that is than came in. In minor units."""

    refunded: int
    excess: int


def may_be_doubled(payment: Payment, dispute: Dispute) -> bool:
    """Return whether the bank may have taken refunded money, and no mismatch says so yet. The gateway decides."""
    is_told = any(
        (each.reason, each.dispute_id) == (REASON, dispute.dispute_id)
        for each in payment.mismatches
    )
    if is_told or not dispute.lost:
        return False
    if find_surplus(payment, dispute.payment_id):
        return True
    return _sum_counted(payment, dispute).excess > 0


async def sum_returned(gateway: PaymentGateway, payment: Payment, dispute: Dispute) -> Returned:
    """Add up the money that went back of a payment with a lost dispute. For surplus, the gateway is asked.

    Raises GatewayError.
    """
    # First: the row may name a payment that goes back, an attempt that had failed, and whose money came too late.
    entry = find_surplus(payment, dispute.payment_id)
    if entry is None:
        return _sum_counted(payment, dispute)
    lost = sum_lost(payment, dispute.payment_id)
    surplus = await look_at_surplus(gateway, dispute.payment_id, lost)
    refunded = surplus.payment.amount - lost - surplus.remaining
    return Returned(refunded, max(0, -surplus.remaining))


def _sum_counted(payment: Payment, dispute: Dispute) -> Returned:
    if not is_counted(payment, dispute.payment_id):
        return Returned(0, 0)
    refunded = sum_reserved(payment)
    # A refund of what the dispute left is right.
    return Returned(refunded, max(0, refunded + sum_lost(payment) - payment.amount_captured))
