"""Bring a payment to what the gateway says of it, whoever brings the news: a page, an event, the worker, a person."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

import structlog
from prometheus_client import Counter

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, NotFound, RetryLater
from kernapay.gateway.base import GatewayPayment, GatewayRefund, GatewayRejected, PaymentGateway
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.matching import best_attempt, mismatch_of
from kernapay.payments.models import Mismatch, Payment
from kernapay.payments.references import payment_id_of
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Event, Source

_log = structlog.get_logger("kernapay.payments")
MOVES: Final = Counter(
    "kernapay_payment_moves_total", "Payments that changed their status", ("status", "source")
)
MISMATCHES: Final = Counter(
    "kernapay_payment_mismatches_total", "Evidence that did not fit its payment", ("source",)
)


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


class EvidenceMismatch(Conflict):
    """The gateway's payment is not the one that was ordered; nothing was changed."""

    code = "evidence_mismatch"


class NotPaid(Conflict):
    """The signature is good, but the gateway has no captured money to show."""

    code = "not_paid"


class NotCapturable(Conflict):
    code = "not_capturable"


class NotCapturedYet(RetryLater):
    """The bank has not confirmed the payment yet: repeat the call later."""

    code = "not_captured_yet"
    title = "Not captured yet"


class Settlement:
    """Check evidence against the record, then make one conditional update. Late or repeated news changes nothing."""

    def __init__(
        self,
        payments: PaymentRepository,
        ledger: PaymentLedger,
        gateway: PaymentGateway,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self.unpaid = ledger.unpaid
        self.late = ledger.late

    async def settle(self, event: Event | None, evidence: Evidence) -> Settled:
        """Bring the payment to what the evidence shows. Without an event, the evidence is a refund.

        Raises UnknownOrder, RecordMissing, GatewayError when the order had to be looked up, Unavailable.
        """
        return await self._apply(await self._payment_of(evidence.payment), event, evidence)

    async def capture_and_settle(self, evidence: Evidence) -> Settled:
        """Settle what the gateway says of a payment; capture it first when the bank has only authorised it.

        Raises UnknownOrder, RecordMissing, GatewayError, Unavailable.
        """
        return await self._capture_and_apply(await self._payment_of(evidence.payment), evidence)

    async def settle_checkout(self, payment: Payment, payment_id: str, signature: str) -> Settled:
        """Settle the gateway's payment that Checkout's signature names; the signature has been checked.

        Raises EvidenceMismatch, NotPaid, NotCapturedYet, GatewayError, Unavailable.
        """
        if payment.status.is_paid and payment.razorpay_payment_id == payment_id:
            await self._ledger.confirm(payment)
            return Settled(payment, Outcome.UNCHANGED)
        crash_point("verify.signed")
        facts = await self._gateway.fetch_payment(payment_id)
        crash_point("verify.asked")
        if facts.order_id != payment.razorpay_order_id:
            raise EvidenceMismatch("The gateway's payment belongs to another order.")
        if facts.status == "failed":
            raise NotPaid("The payment was not successful.")
        if facts.status == "created":
            raise NotCapturedYet("The bank has not confirmed this payment yet.", retry_after=5)
        origin = Origin(Source.CHECKOUT, "verify")
        settled = _accepted(
            await self._capture_and_apply(payment, Evidence(origin, facts, signature=signature))
        )
        if not settled.payment.status.is_paid:
            raise NotPaid("The payment was given back without having been captured.")
        return settled

    async def capture_authorized(self, payment: Payment, actor: str) -> Settled:
        """Capture the authorised money of a payment for a person.

        Raises NotCapturable, EvidenceMismatch, GatewayError, Unavailable.
        """
        if payment.status.is_paid:
            raise NotCapturable("This payment is captured already.")
        if payment.razorpay_order_id is None:
            raise NotCapturable("Nobody has paid yet.")
        facts = best_attempt(await self._gateway.payments_of(payment.razorpay_order_id))
        if facts is None or facts.status not in ("authorized", "captured"):
            raise NotCapturable("The bank has authorised nothing that could be captured.")
        origin = Origin(Source.ADMIN, "capture", actor=actor)
        return _accepted(await self._capture_and_apply(payment, Evidence(origin, facts)))

    async def expire(self, payment: Payment) -> Settled:
        """Give up on a payment that nobody paid; money that comes late all the same still counts."""
        origin = Origin(Source.RECONCILIATION, "expired")
        moved = await self._ledger.move(Event.EXPIRED, payment, origin)
        if moved is None:
            return Settled(payment, Outcome.UNCHANGED)
        return _moved(moved, origin)

    async def record_fee(self, payment: Payment, facts: GatewayPayment) -> None:
        """Take over what the gateway keeps of a payment, in minor units."""
        await self._ledger.note_fee(payment, facts.fee, facts.tax)

    async def _apply(self, payment: Payment, event: Event | None, evidence: Evidence) -> Settled:
        reason = mismatch_of(payment, evidence.payment, event)
        if reason is not None:
            return await self._keep_mismatch(payment, evidence, reason)
        if evidence.refund is not None:
            return await self._record_refund(payment, evidence, evidence.refund)
        if event is Event.AUTHORIZED:
            return await self._note_authorized(payment, evidence)
        if event is None:
            return Settled(payment, Outcome.UNCHANGED)
        return await self._move(payment, event, evidence)

    async def _capture_and_apply(self, payment: Payment, evidence: Evidence) -> Settled:
        facts = evidence.payment
        if facts.status == "authorized":
            reason = mismatch_of(payment, facts)
            if reason is not None:
                return await self._keep_mismatch(payment, evidence, reason)
            facts = await self._capture(payment, facts)
            crash_point("capture.captured")
        event = Event.CAPTURED if facts.is_captured else Event.DECLINED
        return await self._apply(payment, event, replace(evidence, payment=facts))

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
        crash_point("settle.checked")
        moved = await self._ledger.move(event, payment, evidence.origin, facts, evidence.signature)
        crash_point("settle.moved")
        if moved is not None:
            return _moved(moved, evidence.origin)
        current = await self._ledger.get(id=payment.pk)
        if (
            event is Event.CAPTURED
            and current.status.is_paid
            and current.razorpay_payment_id != facts.id
        ):
            # Money came twice for one sale: nothing to move, but somebody has to give it back.
            return await self._keep_mismatch(current, evidence, "second_payment")
        return Settled(current, Outcome.UNCHANGED)

    async def _note_authorized(self, payment: Payment, evidence: Evidence) -> Settled:
        noted = await self._ledger.note_authorized(payment, evidence.origin, evidence.payment)
        if noted is None:
            return Settled(payment, Outcome.UNCHANGED)
        return Settled(noted, Outcome.MOVED)

    async def _record_refund(
        self, payment: Payment, evidence: Evidence, refund: GatewayRefund
    ) -> Settled:
        facts = evidence.payment
        if not facts.is_captured:
            # The gateway gave back what was never captured: that sale did not happen.
            return await self._move(payment, Event.DECLINED, evidence)
        if refund.payment_id != facts.id or refund.currency != payment.currency:
            return await self._keep_mismatch(payment, evidence, "refund_of_another_payment")
        if not payment.status.is_paid:
            # A refund proves the capture whose own event is still on its way.
            payment = (await self._move(payment, Event.CAPTURED, evidence)).payment
        if payment.razorpay_payment_id != facts.id:
            return await self._keep_mismatch(payment, evidence, "refund_of_second_payment")
        changed = await self._ledger.record_refund(payment, refund, evidence.origin)
        crash_point("settle.refund_recorded")
        has_step = len(changed.history) != len(payment.history)
        return Settled(changed, Outcome.MOVED if has_step else Outcome.UNCHANGED)

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
            return await self._ledger.attach_order(payment, order.id)
        return payment

    async def _keep_mismatch(self, payment: Payment, evidence: Evidence, reason: str) -> Settled:
        origin, facts = evidence.origin, evidence.payment
        MISMATCHES.labels(origin.source.value).inc()
        _log.error("evidence_mismatch", payment=str(payment.pk), reason=reason, news=origin.event)
        await self._ledger.note_mismatch(
            payment,
            Mismatch(
                at=self._clock(),
                source=origin.source,
                reason=reason,
                event_id=origin.event_id,
                order_id=facts.order_id,
                payment_id=facts.id,
                amount=facts.amount,
                currency=facts.currency,
            ),
        )
        return Settled(payment, Outcome.MISMATCH, reason)


def _moved(payment: Payment, origin: Origin) -> Settled:
    MOVES.labels(payment.status.value, origin.source.value).inc()
    return Settled(payment, Outcome.MOVED)


def _accepted(settled: Settled) -> Settled:
    """Raise EvidenceMismatch when the evidence did not fit."""
    if settled.outcome is Outcome.MISMATCH:
        raise EvidenceMismatch(
            f"The gateway's payment has another {settled.reason}: nothing was changed."
        )
    return settled
