"""Which imported payments an import asks the gateway about again: those of which something has changed."""

from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.gateway.base import GatewayPayment, GatewayRefund, OddEntity, PaymentGateway
from kernapay.moving.books import UNREADABLE
from kernapay.moving.payments import OldPayment, hash_of_row
from kernapay.payments.former.views import Moved
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace

# A payment may be captured so long after it was made. What takes longer, the worker and the nightly reports find.
_BEFORE: Final = timedelta(days=1)


class Changes:
    """Without `read`, everything counts as changed."""

    def __init__(self, gateway: PaymentGateway, pace: Pace, clock: Clock = now) -> None:
        self._gateway = gateway
        self._pace = pace
        self._clock = clock
        self._is_read = False
        self._orders: set[str] = set()
        self._refunded: set[str] = set()

    async def read(self, since: datetime) -> None:
        """Read the gateway's new payments and refunds. Raises GatewayError."""
        after, before = since - _BEFORE, self._clock()
        async for payment in Listing(self._gateway, self._pace, GatewayPayment).read(after, before):
            if not isinstance(payment, OddEntity) and payment.order_id:
                self._orders.add(payment.order_id)
        async for refund in Listing(self._gateway, self._pace, GatewayRefund).read(after, before):
            if not isinstance(refund, OddEntity):
                self._refunded.add(refund.payment_id)
        self._is_read = True

    def has(self, old: OldPayment, here: Moved) -> bool:
        """Return whether a payment that is here has changed there or at the gateway since an import saw it."""
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
