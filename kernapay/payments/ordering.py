"""Create a payment in three phases: insert it, create its order, attach the order.

The process may die after each phase; each phase may be repeated.
"""

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, RetryLater, Unavailable
from kernapay.core.fair_share import FairShare
from kernapay.gateway.base import GatewayError, GatewayUnknown, Order, PaymentGateway
from kernapay.payments import order_notes
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.references import receipt_of

_log = structlog.get_logger("kernapay.payments")
_FIRST_POLL_SECONDS: Final = 0.03
_LONGEST_POLL_SECONDS: Final = 0.5
_ENDED: Final = "This payment has ended {}. Create another one with another idempotencyKey."


class InProgress(RetryLater):
    """Another request with this key is still running. Repeat the call."""

    code = "in_progress"
    title = "Still in progress"


class SaleEnded(Conflict):
    """The payment was cancelled or expired before its order was answered, so nobody can pay it. Use another key."""

    code = "sale_ended"


class Ordering:
    """Place exactly one order at the gateway for each payment, also when several callers try at the same time."""

    def __init__(
        self,
        ledger: PaymentLedger,
        gateway: PaymentGateway,
        gateway_timeout: timedelta,
        share: FairShare,
        clock: Clock = now,
    ) -> None:
        """`share` bounds how many orders of one account, or of one customer of a shop, are placed at once."""
        self._share = share
        self._ledger = ledger
        self._gateway = gateway
        # A look-up and the call that creates the order, each of which ends within one timeout, and a margin.
        self.lease = gateway_timeout * 3
        self._wait_seconds = gateway_timeout.total_seconds()
        self._clock = clock
        self._running: dict[tuple[str, str], asyncio.Task[tuple[Payment, bool]]] = {}

    async def place(
        self, draft: Payment, origin: Origin, *, is_key_known: bool = True
    ) -> tuple[Payment, bool]:
        """Return the payment with the draft's key and its order, and whether it is new.

        Pass `is_key_known=False` after finding no payment with this key: that saves another look-up.
        Raises TooManyRequests if too many orders of the payer, or of a shop's customer, are being placed, before
        anything is stored. Raises GatewayError, InProgress, Unavailable: the payment stays pending then, and the same
        key resumes it.
        """
        slot = (str(draft.user_id), str(draft.idempotency_key))
        running = self._running.get(slot)
        if running is not None:
            payment, _ = await asyncio.shield(running)
            return payment, False
        running = asyncio.get_running_loop().create_task(self._place(draft, origin, is_key_known))
        self._running[slot] = running
        running.add_done_callback(lambda task: self._forget(slot, task))
        # Shielded: a client that disconnects must not cancel an order half-way.
        return await asyncio.shield(running)

    async def attach_existing_order(self, payment: Payment) -> Payment:
        """Attach the order that an interrupted attempt created at the gateway, if there is one. Create none.

        Raises GatewayError, Unavailable.
        """
        order = await self._find(payment)
        if order is None:
            return payment
        return await self._ledger.attach_order(payment, order.id)

    async def record_surplus(self, payment: Payment, order_ids: list[str]) -> None:
        """Log and store further orders of this payment at the gateway. Nobody may pay them."""
        _log.warning("surplus_orders", reference=payment.reference_id, orders=order_ids)
        await self._ledger.record_surplus_orders(payment, order_ids)

    async def drain(self) -> None:
        """Wait for the orders under way, for one timeout of the gateway. Repeats of their keys finish the others."""
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=self._wait_seconds)
            for task in late:
                task.cancel()

    def _forget(self, slot: tuple[str, str], task: "asyncio.Task[tuple[Payment, bool]]") -> None:
        self._running.pop(slot, None)
        if not task.cancelled():
            # asyncio logs an exception that nobody retrieved, as when every client has disconnected.
            task.exception()

    async def _place(
        self, draft: Payment, origin: Origin, is_key_known: bool
    ) -> tuple[Payment, bool]:
        payer = str(draft.user_id)
        # A payment that has its order need not wait. An unknown key has none: the caller has just looked for it.
        if is_key_known and not self._share.has_room(payer):
            payment = await self._find_ordered(draft)
            if payment is not None:
                return payment, False
        async with self._share.turn(payer, part_of(draft)):
            return await self._place_now(draft, origin, is_key_known)

    async def _find_ordered(self, draft: Payment) -> Payment | None:
        """Return the payment with the draft's key, if it has its order: there is nothing to wait for."""
        where = {"user_id": draft.user_id, "idempotency_key": draft.idempotency_key}
        payment = await self._ledger.get_one_or_none(**where)
        if payment is None:
            key_hash = order_notes.hash_key(draft.user_id, str(draft.idempotency_key))
            where = {"user_id": draft.user_id, "key_hash": key_hash}
            payment = await self._ledger.get_one_or_none(**where)
        return payment if payment and payment.razorpay_order_id else None

    async def _place_now(
        self, draft: Payment, origin: Origin, is_key_known: bool
    ) -> tuple[Payment, bool]:
        draft.order_lease_until = self._clock() + self.lease
        payment, is_new = await self._ledger.claim(draft, origin, is_key_known=is_key_known)
        crash_point("create.claimed")
        if is_new:
            return await self._order(payment, look_first=False), True
        if payment.fingerprint != draft.fingerprint or payment.razorpay_order_id:
            return payment, False
        return await self._wait_or_take_over(payment), False

    async def _wait_or_take_over(self, payment: Payment) -> Payment:
        deadline = monotonic() + self._wait_seconds
        pause = _FIRST_POLL_SECONDS
        while True:
            row = await self._ledger.take_order_lease(payment, self.lease)
            if row is not None:
                return await self._order(row, look_first=True)
            payment = await self._ledger.get(id=payment.pk)
            if payment.razorpay_order_id:
                return payment
            if payment.final:
                raise SaleEnded(_ENDED.format("without an order"))
            if monotonic() > deadline:
                raise InProgress(
                    "Another request with this idempotencyKey is still running. Repeat the call.",
                    retry_after=1,
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)

    async def _order(self, payment: Payment, *, look_first: bool) -> Payment:
        try:
            order = await self._find(payment) if look_first else None
            if order is None:
                order = await self._create(payment)
        except (GatewayError, Unavailable):
            # A repeat may take the lease at once: it looks for an order at the gateway before it creates one.
            await self._ledger.release_order_lease(payment)
            raise
        crash_point("create.ordered")
        payment = await self._ledger.attach_order(payment, order.id)
        crash_point("create.attached")
        if payment.razorpay_order_id != order.id:
            await self.record_surplus(payment, [order.id])
        if payment.final and not payment.status.is_paid:
            raise SaleEnded(_ENDED.format("while its order was made"))
        return payment

    async def _create(self, payment: Payment) -> Order:
        order = await self._gateway.create_order(
            amount=payment.amount,
            currency=payment.currency,
            receipt=receipt_of(payment),
            notes={**payment.notes, order_notes.NOTE: order_notes.pack(payment)},
        )
        if not _matches(order, payment):
            # The order may be right and only the answer wrong: the next attempt looks it up before anyone pays.
            raise GatewayUnknown("The payment gateway's answer does not match the request.")
        return order

    async def _find(self, payment: Payment) -> Order | None:
        """Return the order that an earlier attempt created without our storing it, or None.

        Razorpay: orders have no idempotency header, so look them up by our receipt.
        """
        orders = await self._gateway.find_orders(receipt_of(payment))
        # A paid order first, then the oldest.
        matching = sorted(
            (order for order in orders if _matches(order, payment)),
            key=lambda order: (order.amount_paid == 0, order.created_at, order.id),
        )
        if orders and not matching:
            # Do not create a second order beside a wrong one.
            raise GatewayUnknown("The payment gateway's order does not match the payment.")
        surplus = [order.id for order in orders if order != matching[0]]
        if surplus:
            await self.record_surplus(payment, surplus)
        return matching[0] if matching else None


def part_of(payment: Payment) -> str | None:
    """Return the part of the account that a call counts for: a customer, or the account itself."""
    return str(payment.customer_id) if payment.customer_id else None


def _matches(order: Order, payment: Payment) -> bool:
    return (order.amount, order.currency, order.receipt) == (
        payment.amount,
        payment.currency,
        receipt_of(payment),
    )
