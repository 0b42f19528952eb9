"""Creating a payment: claim, order, attach. Each phase may be the last one before a crash, and may be repeated."""

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import RetryLater, Unavailable
from kernapay.gateway.base import GatewayError, GatewayUnknown, Order, PaymentGateway
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.references import receipt_of

_log = structlog.get_logger("kernapay.payments")
_POLL_FIRST_SECONDS: Final = 0.03
_POLL_MOST_SECONDS: Final = 0.5


class InProgress(RetryLater):
    """Another request with this key is at work right now."""

    code = "in_progress"
    title = "Still in progress"


class Ordering:
    """Bring a payment to its one order at the gateway, whoever else is trying the same."""

    def __init__(
        self,
        ledger: PaymentLedger,
        gateway: PaymentGateway,
        gateway_timeout: timedelta,
        clock: Clock = now,
    ) -> None:
        self._ledger = ledger
        self._gateway = gateway
        # A gateway call waits in its queue for at most one timeout and runs for at most another.
        self.lease = gateway_timeout * 3
        self._patience_seconds = gateway_timeout.total_seconds()
        self._clock = clock
        self._running: dict[tuple[str, str], asyncio.Task[tuple[Payment, bool]]] = {}

    async def place(self, draft: Payment, origin: Origin) -> tuple[Payment, bool]:
        """Return the payment of the draft's key, with its order, and whether it is new.

        Raises GatewayError (the payment stays pending, the same key resumes it), InProgress, Unavailable.
        """
        slot = (str(draft.user_id), str(draft.idempotency_key))
        running = self._running.get(slot)
        if running is not None:
            payment, _ = await asyncio.shield(running)
            return payment, False
        running = asyncio.get_running_loop().create_task(self._place(draft, origin))
        self._running[slot] = running
        running.add_done_callback(lambda task: self._finished(slot, task))
        # Shielded: a client that hangs up must not stop an order half-way.
        return await asyncio.shield(running)

    async def adopt(self, payment: Payment) -> Payment:
        """Attach the order that a payment has at the gateway without our knowing; buy none.

        Raises GatewayError, Unavailable.
        """
        order = await self._find(payment)
        if order is None:
            return payment
        return await self._ledger.attach_order(payment, order.id)

    async def note_surplus(self, payment: Payment, order_ids: list[str]) -> None:
        """Remember orders of this payment that nobody may pay."""
        _log.warning("surplus_orders", payment=str(payment.pk), orders=order_ids)
        await self._ledger.note_surplus_orders(payment, order_ids)

    async def drain(self) -> None:
        """Wait for the orders that are being placed."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _finished(self, slot: tuple[str, str], task: "asyncio.Task[tuple[Payment, bool]]") -> None:
        self._running.pop(slot, None)
        if not task.cancelled():
            task.exception()  # retrieved here too, for a task whose clients all hung up

    async def _place(self, draft: Payment, origin: Origin) -> tuple[Payment, bool]:
        draft.order_lease_until = self._clock() + self.lease
        payment, is_new = await self._ledger.claim(draft, origin)
        crash_point("create.claimed")
        if is_new:
            return await self._order(payment, ask_first=False), True
        if payment.fingerprint != draft.fingerprint or payment.razorpay_order_id:
            return payment, False
        return await self._wait_or_take_over(payment), False

    async def _wait_or_take_over(self, payment: Payment) -> Payment:
        give_up = monotonic() + self._patience_seconds
        pause = _POLL_FIRST_SECONDS
        while True:
            taken = await self._ledger.take_order_lease(payment, self.lease)
            if taken is not None:
                return await self._order(taken, ask_first=True)
            payment = await self._ledger.get(id=payment.pk)
            if payment.razorpay_order_id:
                return payment
            if monotonic() > give_up:
                raise InProgress("Another request with this key is still at work.", retry_after=1)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _POLL_MOST_SECONDS)

    async def _order(self, payment: Payment, *, ask_first: bool) -> Payment:
        try:
            order = await self._find(payment) if ask_first else None
            if order is None:
                order = await self._buy(payment)
        except (GatewayError, Unavailable):
            # Whoever repeats the call may go on at once; they will ask the gateway first.
            await self._ledger.release_order_lease(payment)
            raise
        crash_point("create.ordered")
        attached = await self._ledger.attach_order(payment, order.id)
        crash_point("create.attached")
        if attached.razorpay_order_id != order.id:
            await self.note_surplus(attached, [order.id])
        return attached

    async def _buy(self, payment: Payment) -> Order:
        order = await self._gateway.create_order(
            amount=payment.amount,
            currency=payment.currency,
            receipt=receipt_of(payment.pk),
            notes={**payment.notes, "kernapay_payment": str(payment.pk)},
        )
        if not _fits(order, payment):
            # The order exists, but differs from this answer: look again before anyone pays.
            raise GatewayUnknown("The payment gateway's answer does not fit the request.")
        return order

    async def _find(self, payment: Payment) -> Order | None:
        """Look for the order that an earlier attempt may have made without our hearing of it."""
        found = await self._gateway.find_orders(receipt_of(payment.pk))
        fitting = sorted(
            (order for order in found if _fits(order, payment)),
            key=lambda order: (order.amount_paid == 0, order.created_at, order.id),
        )
        if found and not fitting:
            # The order exists, but differs from this answer. A second one would not be better.
            raise GatewayUnknown("The payment gateway's order does not fit the payment.")
        surplus = [order.id for order in found if order != fitting[0]]
        if surplus:
            await self.note_surplus(payment, surplus)
        return fitting[0] if fitting else None


def _fits(order: Order, payment: Payment) -> bool:
    return (order.amount, order.currency, order.receipt) == (
        payment.amount,
        payment.currency,
        receipt_of(payment.pk),
    )
