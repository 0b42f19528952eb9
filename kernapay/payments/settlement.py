"""The one door through which a payment changes, and the evidence one has to bring."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crashpoints import crash_point
from kernapay.core.errors import NotFound
from kernapay.core.ids import payment_id_of
from kernapay.core.metrics import MISMATCHES, MOVES
from kernapay.gateway.base import GatewayPayment, GatewayRefund, GatewayRejected, PaymentGateway
from kernapay.payments.models import Mismatch, Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Event, Source, Status

_log = structlog.get_logger("kernapay.payments")
_PAID: Final = (Status.SUCCESS, Status.REFUNDED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gateway says of a payment, who brought it, and the event or call it came with."""

    source: Source
    name: str
    payment: GatewayPayment
    refund: GatewayRefund | None = None
    event_id: str | None = None
    actor: str | None = None
    signature: str | None = None

    def step(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "event": self.name,
            "event_id": self.event_id,
            "actor": self.actor,
            "razorpay_payment_id": self.payment.id,
        }


class Outcome(Enum):
    MOVED = auto()
    UNCHANGED = auto()
    MISMATCH = auto()


@dataclass(frozen=True, slots=True)
class Settled:
    payment: Payment
    outcome: Outcome
    reason: str | None = None


class RecordMissing(NotFound):
    """The order was made by us, but its payment is not here: not yet, or not any more."""

    code = "record_missing"


class UnknownOrder(NotFound):
    """No payment of ours belongs to this order."""

    code = "unknown_order"


class Settlement:
    """Check evidence against the record, then make one conditional update; late or repeated news changes nothing."""

    def __init__(
        self, payments: PaymentRepository, gateway: PaymentGateway, clock: Clock = now
    ) -> None:
        self._payments = payments
        self._gateway = gateway
        self._clock = clock

    async def settle(self, event: Event | None, evidence: Evidence) -> Settled:
        """Bring the payment to what the evidence shows. Without an event, the evidence is a refund.

        Raises UnknownOrder, GatewayError when the order had to be looked up, Unavailable.
        """
        payment = await self._payment_of(evidence.payment)
        if (reason := self._misfit(payment, evidence.payment, event)) is not None:
            await self._keep_mismatch(payment, evidence, reason)
            return Settled(payment, Outcome.MISMATCH, reason)
        if evidence.refund is not None:
            return await self._refund(payment, evidence, evidence.refund)
        if event is Event.AUTHORIZED:
            return await self._authorized(payment, evidence)
        if event is None:
            return Settled(payment, Outcome.UNCHANGED)
        return await self._move(payment, event, evidence)

    async def capture_and_settle(self, evidence: Evidence) -> Settled:
        """Settle what the gateway says of a payment, capturing it first when the bank has only authorised it.

        Raises UnknownOrder, GatewayError, Unavailable.
        """
        facts = evidence.payment
        if facts.status == "authorized":
            payment = await self._payment_of(facts)
            if (reason := self._misfit(payment, facts)) is not None:
                await self._keep_mismatch(payment, evidence, reason)
                return Settled(payment, Outcome.MISMATCH, reason)
            facts = await self._capture(payment, facts)
            crash_point("capture.captured")
        event = Event.CAPTURED if _is_captured(facts) else Event.DECLINED
        return await self.settle(event, replace(evidence, payment=facts))

    async def expire(self, payment: Payment) -> Settled:
        """Give up on a payment that nobody paid; money that comes late all the same still counts."""
        step = {"source": Source.RECONCILIATION, "event": "expired"}
        moved = await self._payments.move(Event.EXPIRED, payment, step)
        if moved is None:
            return Settled(payment, Outcome.UNCHANGED)
        MOVES.labels(moved.status.value, Source.RECONCILIATION.value).inc()
        return Settled(moved, Outcome.MOVED)

    async def _capture(self, payment: Payment, facts: GatewayPayment) -> GatewayPayment:
        crash_point("capture.checked")
        try:
            return await self._gateway.capture(facts.id, payment.amount, payment.currency)
        except GatewayRejected:
            # Captured by someone else meanwhile, or given back: the gateway knows.
            fresh = await self._gateway.fetch_payment(facts.id)
            if fresh.status == "authorized":
                raise
            return fresh

    async def _move(self, payment: Payment, event: Event, evidence: Evidence) -> Settled:
        facts = evidence.payment
        change: dict[str, Any] = {}
        step = evidence.step()
        if event is Event.CAPTURED:
            change = {
                "set__razorpay_payment_id": facts.id,
                "set__payment_method": facts.method,
                "set__fee": facts.fee,
                "set__tax": facts.tax,
            }
            if evidence.signature is not None:
                change["set__razorpay_signature"] = evidence.signature
        elif event is Event.DECLINED:
            change = {"set__razorpay_payment_id": facts.id, "set__payment_method": facts.method}
            step["reason"] = facts.error_reason or facts.error_code
        crash_point("settle.checked")
        moved = await self._payments.move(event, payment, step, **change)
        crash_point("settle.moved")
        if moved is not None:
            MOVES.labels(moved.status.value, evidence.source.value).inc()
            return Settled(moved, Outcome.MOVED)
        current = await self._payments.get(id=payment.pk)
        if (
            event is Event.CAPTURED
            and current.status in _PAID
            and current.razorpay_payment_id != facts.id
        ):
            # Money came twice for one sale: nothing to move, but somebody has to give it back.
            await self._keep_mismatch(current, evidence, "second_payment")
            return Settled(current, Outcome.MISMATCH, "second_payment")
        return Settled(current, Outcome.UNCHANGED)

    async def _authorized(self, payment: Payment, evidence: Evidence) -> Settled:
        noted = await self._payments.note_authorized(payment, evidence.step())
        if noted is None:
            return Settled(payment, Outcome.UNCHANGED)
        return Settled(noted, Outcome.MOVED)

    async def _refund(self, payment: Payment, evidence: Evidence, refund: GatewayRefund) -> Settled:
        facts = evidence.payment
        if not _is_captured(facts):
            # The gateway gave back what was never captured: that sale did not happen.
            return await self._move(payment, Event.DECLINED, evidence)
        if refund.payment_id != facts.id or refund.currency != payment.currency:
            await self._keep_mismatch(payment, evidence, "refund_of_another_payment")
            return Settled(payment, Outcome.MISMATCH, "refund_of_another_payment")
        if payment.status not in _PAID:
            # A refund proves the capture whose own event is still on its way.
            payment = (await self._move(payment, Event.CAPTURED, evidence)).payment
        if payment.razorpay_payment_id != facts.id:
            await self._keep_mismatch(payment, evidence, "refund_of_second_payment")
            return Settled(payment, Outcome.MISMATCH, "refund_of_second_payment")
        changed = await self._payments.record_refund(payment, refund, evidence.step())
        crash_point("settle.refund_recorded")
        moved = len(changed.history) != len(payment.history)
        return Settled(changed, Outcome.MOVED if moved else Outcome.UNCHANGED)

    async def _payment_of(self, facts: GatewayPayment) -> Payment:
        if facts.order_id is None:
            raise UnknownOrder("The payment belongs to no order.")
        payment = await self._payments.get_one_or_none(razorpay_order_id=facts.order_id)
        if payment is not None:
            return payment
        # The news may have overtaken the third phase of creation: the receipt names the payment.
        order = await self._gateway.fetch_order(facts.order_id)
        payment_id = payment_id_of(order.receipt)
        if payment_id is None:
            raise UnknownOrder("The order was not made here.")
        payment = await self._payments.get_one_or_none(id=payment_id)
        if payment is None:
            raise RecordMissing("No payment has this order's receipt.")
        if (order.amount, order.currency) == (payment.amount, payment.currency):
            return await self._payments.attach_order(payment, order.id) or await self._payments.get(
                id=payment.pk
            )
        return payment

    def _misfit(
        self, payment: Payment, facts: GatewayPayment, event: Event | None = None
    ) -> str | None:
        if payment.razorpay_order_id != facts.order_id:
            return "order"
        if payment.amount != facts.amount:
            return "amount"
        if payment.currency != facts.currency:
            return "currency"
        return "status" if _contradicts(event, facts) else None

    async def _keep_mismatch(self, payment: Payment, evidence: Evidence, reason: str) -> None:
        MISMATCHES.labels(evidence.source.value).inc()
        _log.error("evidence_mismatch", payment=str(payment.pk), reason=reason, news=evidence.name)
        facts = evidence.payment
        await self._payments.note_mismatch(
            payment,
            Mismatch(
                at=self._clock(),
                source=evidence.source,
                reason=reason,
                event_id=evidence.event_id,
                order_id=facts.order_id,
                payment_id=facts.id,
                amount=facts.amount,
                currency=facts.currency,
            ),
        )


def _contradicts(event: Event | None, facts: GatewayPayment) -> bool:
    """An event's name alone proves nothing: what it tells of has to say the same."""
    if event is Event.CAPTURED:
        return not _is_captured(facts)
    if event is Event.DECLINED:
        return _is_captured(facts) or facts.status in ("created", "authorized")
    return False


def _is_captured(facts: GatewayPayment) -> bool:
    return facts.captured or facts.status == "captured"


_ATTEMPTS: Final = ("captured", "refunded", "authorized", "created", "failed")


def best_attempt(attempts: Iterable[GatewayPayment]) -> GatewayPayment | None:
    """Choose the attempt that says most about an order: money first, then hope, then failure."""
    known = [attempt for attempt in attempts if attempt.status in _ATTEMPTS]
    return min(known, key=lambda a: (_ATTEMPTS.index(a.status), -a.created_at, a.id), default=None)
