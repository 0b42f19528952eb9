"""Ask the gateway for refunds: for one that an earlier attempt made, or for a new one."""

from typing import Final

from kernapay.gateway.base import (
    GatewayDuplicate,
    GatewayRefund,
    GatewayRejected,
    GatewayUnknown,
    PaymentGateway,
)
from kernapay.payments.models import Payment, Refund
from kernapay.payments.refund_checks import PaymentDisputed
from kernapay.payments.returns import sum_held, sum_reserved

UNFIT: Final = (
    "The payment gateway's answer does not match this refund, so its result is not known yet. "
    "Repeat the call with the same idempotencyKey."
)
# Why a refund that waited, while its payment was disputed, is not made any more.
DISPUTED: Final = "A dispute holds this money: the customer's bank has returned it, or may do so."


async def find_refund(
    gateway: PaymentGateway, payment_id: str, receipt: str | None
) -> GatewayRefund | None:
    """Return the refund with this receipt of a payment of the gateway, or None. Raises GatewayError."""
    for gateway_refund in await gateway.refunds_of(payment_id):
        if gateway_refund.receipt == receipt:
            return gateway_refund
    return None


async def request_refund(
    gateway: PaymentGateway, payment: Payment, refund: Refund, *, look_first: bool
) -> GatewayRefund:
    """Return the refund at the gateway, made now or by an earlier attempt. Raises GatewayError.

    GatewayRejected and PaymentDisputed mean that there is none, and that there will be none.
    """
    payment_id = str(payment.razorpay_payment_id)
    gateway_refund = await find_refund(gateway, payment_id, refund.receipt) if look_first else None
    if gateway_refund is None:
        if look_first and _is_disputed(payment):
            raise PaymentDisputed(DISPUTED)
        try:
            gateway_refund = await gateway.refund(
                payment_id,
                amount=refund.amount,
                # Razorpay: the same key returns the same refund, so every attempt sends the same.
                key=str(refund.receipt),
                receipt=str(refund.receipt),
                speed=refund.speed.value,
            )
        except (GatewayRejected, GatewayDuplicate):
            # An earlier attempt may have made this very refund: "fully refunded already".
            gateway_refund = await find_refund(gateway, payment_id, refund.receipt)
            if gateway_refund is None:
                raise
    if (gateway_refund.amount, gateway_refund.payment_id) != (refund.amount, payment_id):
        raise GatewayUnknown(UNFIT)
    return gateway_refund


def _is_disputed(payment: Payment) -> bool:
    """Return whether disputes hold money that was reserved for refunds before they came."""
    return sum_held(payment) > payment.amount_captured - sum_reserved(payment)
