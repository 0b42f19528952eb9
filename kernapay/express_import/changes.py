"""Find the imported payments that have changed, so that an import asks the gateway about these only."""

from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.express_import.gateway_orders import UNREADABLE
from kernapay.express_import.payment_rows import OldPayment, hash_of_row
from kernapay.gateway.base import GatewayPayment, GatewayRefund, OddEntity, PaymentGateway
from kernapay.payments.imported.views import ImportedView
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace

# How long after its creation a payment may be captured. The worker and the nightly reports find later captures.
_BEFORE: Final = timedelta(days=1)


class Changes:
    """Until `read` is called, every payment counts as changed."""

    def __init__(self, gateway: PaymentGateway, pace: Pace, clock: Clock = now) -> None:
        self._gateway = gateway
        self._pace = pace
        self._clock = clock
        self._is_read = False
        self._orders: set[str] = set()
        self._refunded: set[str] = set()

    async def read(self, since: datetime) -> None:
        """Read the payments and refunds that the gateway has made since a time. Raises GatewayError."""
        after, before = since - _BEFORE, self._clock()
        async for payment in Listing(self._gateway, self._pace, GatewayPayment).read(after, before):
            if not isinstance(payment, OddEntity) and payment.order_id:
                self._orders.add(payment.order_id)
        async for refund in Listing(self._gateway, self._pace, GatewayRefund).read(after, before):
            if not isinstance(refund, OddEntity):
                self._refunded.add(refund.payment_id)
        self._is_read = True

    def has(self, old: OldPayment, here: ImportedView) -> bool:
        """Return whether a payment has changed in the Express database or at the gateway since the last import."""
        former = here.former
        return (
            not self._is_read
            or former is None
            or former.seen is None
            or former.row != hash_of_row(old)
            # Its answer may have been odd only then, and a newer version may read it.
            or former.problem == UNREADABLE
            or old.order_id in self._orders
            or here.razorpay_payment_id in self._refunded
        )
