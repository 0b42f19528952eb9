"""What the gateway knows of the orders of some payments: the orders, their payments, and the refunds of those."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.gateway.base import (
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayTooOld,
    GatewayUnreadable,
    Order,
    PaymentGateway,
)
from kernapay.moving.payments import OldPayment
from kernapay.moving.shelves import Shelf, TooMany
from kernapay.reconciliation.pacing import Pace

# Fewer are asked for one by one.
_FEWEST_LISTED: Final = 20
# Of an account with so many more orders and payments than these, the lists cost more than the questions.
_MOST_FOREIGN: Final = 30
# The order is created before the row. Most are paid soon after it; the others are asked about.
_BEFORE: Final = timedelta(minutes=1)
_AFTER: Final = timedelta(hours=1)
# One row in so many may have a wrong time. It is asked about by itself, so that the lists of the others stay short.
_ODD_TIMES: Final = 20
UNREADABLE: Final = "the gateway's answer about its order cannot be read"


@dataclass(slots=True)
class Found:
    """What the gateway knows of an order. With a `problem`, that is why it knows nothing."""

    order: Order | None = None
    attempts: Sequence[GatewayPayment] = ()
    refunds: dict[str, Sequence[GatewayRefund]] = field(default_factory=dict)
    problem: str | None = None


class OrderBooks:
    """Each question raises GatewayError when the gateway keeps failing or refuses the keys."""

    def __init__(self, gateway: PaymentGateway, pace: Pace, clock: Clock = now) -> None:
        self._gateway = gateway
        self._pace = pace
        self._clock = clock
        self._orders = Shelf(gateway, pace, Order, lambda order: order.id)
        self._attempts = Shelf(gateway, pace, GatewayPayment, lambda payment: payment.order_id)
        self._is_listed = False

    async def open(self, payments: Sequence[OldPayment]) -> None:
        """Read the gateway's lists of the time in which these payments were made, if that saves questions.

        Give the payments oldest first: what is read for one call is not read again for the next.
        """
        self._is_listed = False
        times = sorted(each.created_at for each in payments if each.order_id)
        if len(times) < _FEWEST_LISTED:
            return
        after, last = _span(times)
        after -= _BEFORE
        most = len(times) * _MOST_FOREIGN
        try:
            await self._orders.move(after, min(last + _BEFORE, self._clock()), most)
            await self._attempts.move(after, min(last + _AFTER, self._clock()), most)
        except TooMany:
            return
        self._is_listed = True

    async def find(self, order_id: str | None) -> Found:
        """Return what the gateway knows of an order."""
        if order_id is None:
            return Found(problem="it has no order")
        order = None
        try:
            if self._is_listed and (listed := self._orders.of(order_id)):
                order = listed[0]
            else:
                order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
            attempts = await self._attempts_of(order)
            refunds = await self._refunds_of(attempts)
        except GatewayMissing:
            return Found(order, problem="the gateway's account has no such order")
        except GatewayTooOld:
            return Found(order, problem="its order is older than the gateway answers for")
        except GatewayUnreadable:
            return Found(order, problem=UNREADABLE)
        return Found(order, attempts, refunds)

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
    """Return between which of these sorted times the rows are, but for those that are far from the others."""
    odd = len(times) // _ODD_TIMES
    first, last = times[odd], times[-1 - odd]
    far = last - first + _AFTER
    return max(times[0], first - far), min(times[-1], last + far)
