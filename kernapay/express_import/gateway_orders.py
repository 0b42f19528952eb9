"""Look up orders at the gateway, with their payments and the refunds of these."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.express_import.entity_window import EntityWindow, TooManyEntities
from kernapay.express_import.payment_rows import OldPayment
from kernapay.gateway.base import (
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayTooOld,
    GatewayUnreadable,
    Order,
    PaymentGateway,
)
from kernapay.reconciliation.pacing import Pace

# For fewer orders, asking for each costs fewer calls than a list.
_LEAST_LISTED: Final = 20
# Use the lists only if they have at most this many entities per order that is looked for.
_MOST_PER_ORDER: Final = 30
# The order is created before the row. Most are paid soon after it; the others are asked about.
_BEFORE: Final = timedelta(minutes=1)
_AFTER: Final = timedelta(hours=1)
# One row in so many may have a wrong time. Its order is asked for by itself, so that the lists stay short.
_ODD_TIMES: Final = 20
UNREADABLE: Final = "the gateway's answer about its order cannot be read"


@dataclass(slots=True)
class OrderFacts:
    """An order at the gateway. `problem` says why the gateway has no usable answer."""

    order: Order | None = None
    attempts: Sequence[GatewayPayment] = ()
    refunds: dict[str, Sequence[GatewayRefund]] = field(default_factory=dict)
    problem: str | None = None


class GatewayOrders:
    """Each method raises GatewayError when the gateway keeps failing or refuses the keys."""

    def __init__(self, gateway: PaymentGateway, pace: Pace, clock: Clock = now) -> None:
        self._gateway = gateway
        self._pace = pace
        self._clock = clock
        self._orders = EntityWindow(gateway, pace, Order, lambda order: order.id)
        self._attempts = EntityWindow(
            gateway, pace, GatewayPayment, lambda payment: payment.order_id
        )
        self._is_listed = False

    async def prefetch(self, payments: Sequence[OldPayment]) -> None:
        """Read the gateway's lists for the period of these payments, if that saves calls.

        Pass the payments oldest first: what one call has read, the next does not read again.
        """
        self._is_listed = False
        times = sorted(each.created_at for each in payments if each.order_id)
        if len(times) < _LEAST_LISTED:
            return
        after, last = _span(times)
        after -= _BEFORE
        limit = len(times) * _MOST_PER_ORDER
        try:
            await self._orders.move_to(after, min(last + _BEFORE, self._clock()), limit)
            await self._attempts.move_to(after, min(last + _AFTER, self._clock()), limit)
        except TooManyEntities:
            return
        self._is_listed = True

    async def find(self, order_id: str | None) -> OrderFacts:
        """Return an order with its payments and their refunds."""
        if order_id is None:
            return OrderFacts(problem="it has no order")
        order = None
        try:
            if self._is_listed and (listed := self._orders.of(order_id)):
                order = listed[0]
            else:
                order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
            attempts = await self._attempts_of(order)
            refunds = await self._refunds_of(attempts)
        except GatewayMissing:
            return OrderFacts(order, problem="the gateway's account has no such order")
        except GatewayTooOld:
            return OrderFacts(order, problem="its order is older than the gateway answers for")
        except GatewayUnreadable:
            return OrderFacts(order, problem=UNREADABLE)
        return OrderFacts(order, attempts, refunds)

    async def _attempts_of(self, order: Order) -> Sequence[GatewayPayment]:
        listed = self._attempts.of(order.id) if self._is_listed else []
        if order.status == "created" or any(each.is_captured for each in listed):
            return listed
        if order.status == "attempted" and order.attempts and len(listed) >= order.attempts:
            return listed
        try:
            return await self._pace.call(lambda: self._gateway.payments_of(order.id))
        except GatewayTooOld:
            if order.status == "paid" or not listed:
                raise
            return listed  # the lists still have what the gateway no longer answers by id

    async def _refunds_of(
        self, attempts: Sequence[GatewayPayment]
    ) -> dict[str, Sequence[GatewayRefund]]:
        refunds: dict[str, Sequence[GatewayRefund]] = {}
        for each in attempts:
            if each.is_captured and each.amount_refunded:
                payment_id = each.id
                refunds[payment_id] = await self._pace.call(
                    lambda payment_id=payment_id: self._gateway.refunds_of(payment_id)  # type: ignore[misc]
                )
        return refunds


def _span(times: Sequence[datetime]) -> tuple[datetime, datetime]:
    """Return the first and the last of these sorted times, without outliers."""
    odd = len(times) // _ODD_TIMES
    first, last = times[odd], times[-1 - odd]
    far = last - first + _AFTER
    return max(times[0], first - far), min(times[-1], last + far)
