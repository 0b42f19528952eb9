"""Settle evidence from Checkout, webhooks, reconciliation and people: bring a payment to its state at the gateway."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, NotFound, RetryLater
from kernapay.core.metrics import Counter
from kernapay.gateway.base import (
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    PaymentGateway,
)
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.matching import (
    best_attempt,
    build_mismatch,
    explain_mismatch,
    mismatch_of,
)
from kernapay.payments.models import Payment
from kernapay.payments.references import payment_id_of
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import require_kept
from kernapay.payments.states import Event, Source

_log = structlog.get_logger("kernapay.payments")
MOVES: Final = Counter(
    "kernapay_payment_moves_total", "Payments that changed their status", ("status", "source")
)
MISMATCHES: Final = Counter(
    "kernapay_payment_mismatches_total", "Evidence that did not match its payment", ("source",)
)


class Outcome(Enum):
    """What settling did to the payment."""

    MOVED = auto()
    UNCHANGED = auto()
    MISMATCH = auto()


@dataclass(frozen=True, slots=True)
class Settled:
    """The payment after settling, and the outcome. `reason` says what did not match."""

    payment: Payment
    outcome: Outcome
    reason: str | None = None


class RecordMissing(NotFound):
    """The order has our receipt, but its payment is not stored: not yet, or no longer."""

    code = "record_missing"


class UnknownOrder(NotFound):
    """The order does not belong to a payment of KernaPay."""

    code = "unknown_order"


class EvidenceMismatch(Conflict):
    """The gateway's payment does not match ours; nothing was changed.

    The mismatch is stored with the payment. `reason` names it.
    """

    code = "evidence_mismatch"

    def __init__(self, reason: str) -> None:
        super().__init__(explain_mismatch(reason))
        self.reason = reason


class NotPaid(Conflict):
    """The signature is valid, but the gateway has not captured the payment."""

    code = "not_paid"


class NotCapturable(Conflict):
    """The payment is captured already, or there is no authorised payment to capture."""

    code = "not_capturable"


class NotCapturedYet(RetryLater):
    """The bank has not confirmed the payment yet. Repeat the call later."""

    code = "not_captured_yet"
    title = "Not captured yet"


class Settlement:
    """Compare evidence with the stored payment, then make one conditional update.

    Late or repeated evidence changes nothing.
    """

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
        """Settle evidence of an event or, without an event, of a refund.

        Raises EvidenceMismatch, UnknownOrder, RecordMissing, Unavailable, and GatewayError if the order had to be
        looked up.
        """
        payment = await self._find_payment(evidence.payment)
        return _require_match(await self._apply(payment, event, evidence))

    async def capture_and_settle(self, evidence: Evidence) -> Settled:
        """Settle a payment of the gateway. If it is only authorised, capture it first.

        Raises EvidenceMismatch, UnknownOrder, RecordMissing, GatewayError, Unavailable.
        """
        payment = await self._find_payment(evidence.payment)
        return _require_match(await self._capture_and_apply(payment, evidence))

    async def settle_checkout(self, payment: Payment, payment_id: str, signature: str) -> Settled:
        """Settle the payment of the gateway that Checkout named. The caller has checked the signature.

        Raises EvidenceMismatch, NotPaid, PaymentReturned, NotCapturedYet, GatewayError, Unavailable.
        """
        if payment.status.is_paid and payment.razorpay_payment_id == payment_id:
            await self._ledger.evict_history(payment)
            require_kept(payment)
            return Settled(payment, Outcome.UNCHANGED)
        crash_point("verify.signed")
        gateway_payment = await self._gateway.fetch_payment(payment_id)
        crash_point("verify.asked")
        if gateway_payment.order_id != payment.razorpay_order_id:
            raise EvidenceMismatch("order")
        if gateway_payment.status == "failed":
            raise NotPaid("The payment failed. The customer may try again with the same order.")
        if gateway_payment.status == "created":
            raise NotCapturedYet(
                "The bank has not confirmed this payment yet. Repeat the call.", retry_after=5
            )
        origin = Origin(Source.CHECKOUT, "verify")
        # Ask before writing anything: once the payment is `success`, a repeat asks no more.
        is_refunded = gateway_payment.is_captured and gateway_payment.amount_refunded
        refunds = tuple(await self._gateway.refunds_of(payment_id)) if is_refunded else ()
        evidence = Evidence(origin, gateway_payment, signature=signature, known_refunds=refunds)
        result = _require_match(await self._capture_and_apply(payment, evidence))
        for each in refunds:
            evidence = replace(evidence, refund=each)
            result = _require_match(await self._apply(result.payment, None, evidence))
        if not result.payment.status.is_paid:
            raise NotPaid("The gateway refunded the payment without capturing it.")
        require_kept(result.payment, gateway_payment)
        return result

    async def capture_authorized(self, payment: Payment, order_id: str, actor: str) -> Settled:
        """Capture the authorised payment of an order for an administrator.

        Raises NotCapturable, EvidenceMismatch, GatewayError, Unavailable.
        """
        gateway_payment = best_attempt(await self._gateway.payments_of(order_id))
        if gateway_payment is None or gateway_payment.status not in ("authorized", "captured"):
            raise NotCapturable("The bank has not authorised a payment of this order.")
        origin = Origin(Source.ADMIN, "capture", actor=actor)
        evidence = Evidence(origin, gateway_payment)
        return _require_match(await self._capture_and_apply(payment, evidence))

    async def expire(self, payment: Payment) -> Settled:
        """Move a payment that nobody paid to `failed`. A late payment can still move it to `success`."""
        origin = Origin(Source.RECONCILIATION, "expired")
        row = await self._ledger.move(Event.EXPIRED, payment, origin)
        return _count_move(row, origin) if row else Settled(payment, Outcome.UNCHANGED)

    async def record_fee(self, payment: Payment, gateway_payment: GatewayPayment) -> None:
        """Store the gateway's fee and tax for a payment."""
        await self._ledger.record_fee(payment, gateway_payment.fee, gateway_payment.tax)

    async def _apply(self, payment: Payment, event: Event | None, evidence: Evidence) -> Settled:
        reason = mismatch_of(payment, evidence.payment, event)
        if reason is not None:
            return await self._record_mismatch(payment, evidence, reason)
        if evidence.refund is not None:
            return await self._record_refund(payment, evidence, evidence.refund)
        if event is Event.AUTHORIZED:
            return await self._record_authorization(payment, evidence)
        if event is None:
            return Settled(payment, Outcome.UNCHANGED)
        return await self._move(payment, event, evidence)

    async def _capture_and_apply(self, payment: Payment, evidence: Evidence) -> Settled:
        gateway_payment = evidence.payment
        if gateway_payment.status == "authorized":
            reason = mismatch_of(payment, gateway_payment)
            if reason is not None:
                return await self._record_mismatch(payment, evidence, reason)
            gateway_payment = await self._capture(payment, gateway_payment)
            crash_point("capture.captured")
        event = Event.CAPTURED if gateway_payment.is_captured else Event.DECLINED
        return await self._apply(payment, event, replace(evidence, payment=gateway_payment))

    async def _capture(self, payment: Payment, gateway_payment: GatewayPayment) -> GatewayPayment:
        crash_point("capture.checked")
        try:
            return await self._gateway.capture(gateway_payment.id, payment.amount, payment.currency)
        except GatewayRejected:
            # Razorpay also rejects a capture when the payment was captured or refunded meanwhile.
            current = await self._gateway.fetch_payment(gateway_payment.id)
            if current.status == "authorized":
                raise
            return current

    async def _move(self, payment: Payment, event: Event, evidence: Evidence) -> Settled:
        gateway_payment = evidence.payment
        crash_point("settle.checked")
        row = await self._ledger.move(
            event,
            payment,
            evidence.origin,
            gateway_payment,
            evidence.signature,
            evidence.known_refunds,
        )
        crash_point("settle.moved")
        if row is not None:
            return _count_move(row, evidence.origin)
        current = await self._ledger.get(id=payment.pk)
        if (
            event is Event.CAPTURED
            and current.status.is_paid
            and current.razorpay_payment_id != gateway_payment.id
        ):
            # The customer paid twice: nothing to move, but the second payment has to be refunded.
            return await self._record_mismatch(current, evidence, "second_payment")
        return Settled(current, Outcome.UNCHANGED)

    async def _record_authorization(self, payment: Payment, evidence: Evidence) -> Settled:
        row = await self._ledger.record_authorization(payment, evidence.origin, evidence.payment)
        return Settled(row, Outcome.MOVED) if row else Settled(payment, Outcome.UNCHANGED)

    async def _record_refund(
        self, payment: Payment, evidence: Evidence, refund: GatewayRefund
    ) -> Settled:
        gateway_payment = evidence.payment
        if not gateway_payment.is_captured:
            # The gateway refunded a payment that it never captured, so nothing was paid.
            return await self._move(payment, Event.DECLINED, evidence)
        if refund.payment_id != gateway_payment.id or refund.currency != payment.currency:
            return await self._record_mismatch(payment, evidence, "refund_of_another_payment")
        if not payment.status.is_paid:
            # The refund event overtook the capture event: a refund proves the capture.
            evidence = replace(evidence, known_refunds=(refund,))
            payment = (await self._move(payment, Event.CAPTURED, evidence)).payment
        if payment.razorpay_payment_id != gateway_payment.id:
            return await self._record_mismatch(payment, evidence, "refund_of_second_payment")
        row = await self._ledger.record_refund(payment, refund, evidence.origin)
        crash_point("settle.refund_recorded")
        has_new_step = len(row.history) != len(payment.history)
        return Settled(row, Outcome.MOVED if has_new_step else Outcome.UNCHANGED)

    async def _find_payment(self, gateway_payment: GatewayPayment) -> Payment:
        if gateway_payment.order_id is None:
            raise UnknownOrder("The payment belongs to no order.")
        payment = await self._payments.get_one_or_none(razorpay_order_id=gateway_payment.order_id)
        if payment is not None:
            return payment
        # An event may come before the order is attached to its payment. The order's receipt contains the payment's id.
        try:
            order = await self._gateway.fetch_order(gateway_payment.order_id)
        except GatewayMissing as error:
            # Such as the order of a payment link, whose id in events lacks the prefix.
            raise UnknownOrder("The account has no order with this id.") from error
        payment_id = payment_id_of(order.receipt)
        if payment_id is None:
            raise UnknownOrder("KernaPay did not create the order.")
        payment = await self._payments.get_one_or_none(id=payment_id)
        if payment is None:
            raise RecordMissing("No payment has this order's receipt.")
        if (order.amount, order.currency) == (payment.amount, payment.currency):
            return await self._ledger.attach_order(payment, order.id)
        return payment

    async def _record_mismatch(self, payment: Payment, evidence: Evidence, reason: str) -> Settled:
        origin = evidence.origin
        MISMATCHES.labels(origin.source.value).inc()
        _log.error("evidence_mismatch", payment=str(payment.pk), reason=reason, news=origin.event)
        await self._ledger.record_mismatch(payment, build_mismatch(evidence, reason, self._clock()))
        return Settled(payment, Outcome.MISMATCH, reason)


def _count_move(payment: Payment, origin: Origin) -> Settled:
    MOVES.labels(payment.status.value, origin.source.value).inc()
    return Settled(payment, Outcome.MOVED)


def _require_match(result: Settled) -> Settled:
    """Return the result. Raises EvidenceMismatch when the evidence did not match."""
    if result.outcome is Outcome.MISMATCH:
        raise EvidenceMismatch(str(result.reason))
    return result
