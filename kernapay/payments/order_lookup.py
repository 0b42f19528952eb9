"""Find the payment to which a payment of the gateway belongs, by its order."""

from kernapay.gateway.base import GatewayPayment, PaymentGateway
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.outcomes import RecordMissing, UnknownOrder
from kernapay.payments.references import payment_id_of
from kernapay.payments.repository import PaymentRepository


class OrderLookup:
    def __init__(
        self, payments: PaymentRepository, ledger: PaymentLedger, gateway: PaymentGateway
    ) -> None:
        self._payments = payments
        self._ledger = ledger
        self._gateway = gateway

    async def find(self, gateway_payment: GatewayPayment) -> Payment:
        """Return the payment. Raises UnknownOrder, RecordMissing, Unavailable, and GatewayError if it had to ask."""
        if gateway_payment.order_id is None:
            raise UnknownOrder("The payment belongs to no order.")
        payment = await self._payments.get_one_or_none(razorpay_order_id=gateway_payment.order_id)
        if payment is not None:
            return payment
        # An event may come before the order is attached to its payment. The order's receipt contains the payment's id.
        order = await self._gateway.fetch_order(gateway_payment.order_id)
        payment_id = payment_id_of(order.receipt)
        if payment_id is None:
            raise UnknownOrder("KernaPay did not create the order.")
        payment = await self._payments.get_one_or_none(id=payment_id)
        if payment is None:
            raise RecordMissing("No payment has this order's receipt.")
        if (order.amount, order.currency) == (payment.amount, payment.currency):
            return await self._ledger.attach_order(payment, order.id)
        return payment
