"""What the gateway knows of the orders of some payments: the orders, their payments, and the refunds of those."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.gateway.base import (
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayTooOld,
    GatewayUnreadable,
    OddEntity,
    Order,
    PaymentGateway,
)
from kernapay.moving.payments import OldPayment
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace

# Fewer are asked for one by one.
_FEWEST_LISTED: Final = 20
# Of an account with so many more orders than these, the lists cost more than the questions.
_MOST_FOREIGN: Final = 10
# The order is created before the row, and paid after it.
_BEFORE: Final = timedelta(minutes=10)
_AFTER: Final = timedelta(days=1)


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
        self._orders: dict[str, Order] = {}
        self._attempts: dict[str, list[GatewayPayment]] = defaultdict(list)

    async def open(self, payments: Sequence[OldPayment]) -> None:
        """Read the gateway's lists of the time in which these payments were made, if that saves questions."""
        self._orders, self._attempts = {}, defaultdict(list)
        wanted = {each.order_id for each in payments if each.order_id}
        if len(wanted) < _FEWEST_LISTED:
            return
        after = min(each.created_at for each in payments) - _BEFORE
        before = min(max(each.created_at for each in payments) + _AFTER, self._clock())
        most = len(wanted) * _MOST_FOREIGN
        async for order in Listing(self._gateway, self._pace, Order).read(after, before):
            most -= 1
            if most < 0:
                return
            if not isinstance(order, OddEntity) and order.id in wanted:
                self._orders[order.id] = order
        async for payment in Listing(self._gateway, self._pace, GatewayPayment).read(after, before):
            if not isinstance(payment, OddEntity) and payment.order_id in wanted:
                self._attempts[payment.order_id].append(payment)

    async def find(self, order_id: str | None) -> Found:
        """Return what the gateway knows of an order."""
        if order_id is None:
            return Found(problem="it has no order")
        order = None
        try:
            order = self._orders.get(order_id)
            if order is None:
                order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
            attempts = await self._attempts_of(order)
            refunds = await self._refunds_of(attempts)
        except GatewayMissing:
            return Found(order, problem="the gateway's account has no such order")
        except GatewayTooOld:
            return Found(order, problem="its order is older than the gateway answers for")
        except GatewayUnreadable:
            return Found(order, problem="the gateway's answer about its order cannot be read")
        return Found(order, attempts, refunds)

    async def _attempts_of(self, order: Order) -> Sequence[GatewayPayment]:
        listed = self._attempts.get(order.id, [])
        if order.status == "created" or any(each.is_captured for each in listed):
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
