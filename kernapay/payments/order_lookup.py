"""Find the payment to which a payment of the gateway belongs, by its order."""

from typing import Final

from kernapay.core.fair_share import FairShare
from kernapay.gateway.base import GatewayMissing, GatewayPayment, PaymentGateway
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.outcomes import RecordMissing, UnknownOrder
from kernapay.payments.repository import PaymentRepository

# The subject of look-ups that no account asked for.
_EVENTS: Final = "events"


class OrderLookup:
    def __init__(
        self,
        payments: PaymentRepository,
        ledger: PaymentLedger,
        gateway: PaymentGateway,
        share: FairShare,
    ) -> None:
        """`share` bounds how many unknown orders are looked up at once."""
        self._payments = payments
        self._ledger = ledger
        self._gateway = gateway
        self._share = share

    async def find(self, gateway_payment: GatewayPayment) -> Payment:
        """Return the payment. Raises UnknownOrder, RecordMissing, Unavailable, and GatewayError if it had to ask."""
        if gateway_payment.order_id is None:
            raise UnknownOrder("The payment belongs to no order.")
        payment = await self._payments.by_order(gateway_payment.order_id)
        if payment is not None:
            return payment
        # An event may come before the order is attached to its payment. The order's receipt names the payment.
        try:
            # A busy shop with the same account must not take every thread.
            async with self._share.turn(_EVENTS):
                order = await self._gateway.fetch_order(gateway_payment.order_id)
        except GatewayMissing as error:
            # Such as the order of a payment link, whose id in events lacks the prefix.
            raise UnknownOrder("The account has no order with this id.") from error
        payment = await self._payments.by_receipt(order.receipt)
        if payment is None and not self._payments.is_own_receipt(order.receipt):
            raise UnknownOrder("This installation of KernaPay did not create the order.")
        if payment is None:
            raise RecordMissing("No payment has this order's receipt.")
        if (order.amount, order.currency) == (payment.amount, payment.currency):
            return await self._ledger.attach_order(payment, order.id)
        return payment
