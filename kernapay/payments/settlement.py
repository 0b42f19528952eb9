"""Settle evidence from Checkout, webhooks, reconciliation and people: bring a payment to its state at the gateway."""

from dataclasses import replace

import structlog

from kernapay.core import tracing
from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.fair_share import FairShare
from kernapay.gateway.base import (
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    PaymentGateway,
)
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.matching import (
    best_attempt,
    build_mismatch,
    confirm_unpaid,
    find_mismatch,
    is_refund_of,
)
from kernapay.payments.metrics import MISMATCHES, count_move
from kernapay.payments.models import Payment
from kernapay.payments.order_lookup import OrderLookup
from kernapay.payments.outcomes import (
    EvidenceMismatch,
    NotCapturable,
    NotCapturedYet,
    NotPaid,
    Outcome,
    Settled,
    require_fit,
    require_match,
)
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import find_surplus, is_counted, require_kept
from kernapay.payments.states import Event, LatePayments, Source, SurplusReason
from kernapay.payments.surplus import SurplusPayments
from kernapay.storage.updates import RowChanged

_log = structlog.get_logger("kernapay.payments")


class Settlement:
    """Compare evidence with the stored payment, then make one conditional update. A repeat changes nothing."""

    def __init__(
        self,
        payments: PaymentRepository,
        ledger: PaymentLedger,
        surplus: SurplusPayments,
        gateway: PaymentGateway,
        lifetimes: Lifetimes,
        share: FairShare,
        clock: Clock = now,
    ) -> None:
        """`share` limits how many unknown orders of events are looked up at once."""
        self._surplus = surplus
        self._lifetimes = lifetimes
        self.find = OrderLookup(payments, ledger, gateway, share).find
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self.unpaid = ledger.unpaid
        self.late = ledger.late
        self.ending = ledger.ending

    async def settle(self, event: Event | None, evidence: Evidence) -> Settled:
        """Settle evidence of an event or, without an event, of a refund.

        Raises EvidenceMismatch, UnknownOrder, RecordMissing, Unavailable, and GatewayError by a look-up of the order.
        """
        payment = await self.find(evidence.payment)
        with tracing.resume(evidence.origin.event, payment.traceparent):
            return require_match(await self._apply(payment, event, evidence))

    async def capture_and_settle(self, evidence: Evidence) -> Settled:
        """Settle a payment of the gateway. If it is only authorised, capture it first.

        Raises EvidenceMismatch, UnknownOrder, RecordMissing, GatewayError, Unavailable.
        """
        payment = await self.find(evidence.payment)
        with tracing.resume(evidence.origin.event, payment.traceparent):
            return require_match(await self._capture_and_apply(payment, evidence))

    async def settle_checkout(self, payment: Payment, payment_id: str, signature: str) -> Settled:
        """Settle the payment of the gateway that Checkout named. The caller has checked the signature.

        Raises EvidenceMismatch, NotPaid, PaymentReturned, NotCapturedYet, RowChanged, GatewayError, Unavailable.
        """
        if is_counted(payment, payment_id):
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
        result = require_fit(await self._capture_and_apply(payment, evidence))
        for each in refunds:
            evidence = replace(evidence, refund=each)
            result = require_fit(await self._apply(result.payment, None, evidence))
        if not result.payment.status.is_paid:
            raise NotPaid("The gateway refunded the payment without capturing it.")
        require_kept(result.payment, gateway_payment)
        return result

    async def capture_authorized(self, payment: Payment, order_id: str, actor: str) -> Settled:
        """Capture the authorised payment of an order for an administrator, also of a sale that has ended.

        Raises NotCapturable, EvidenceMismatch, GatewayError, Unavailable.
        """
        gateway_payment = best_attempt(await self._gateway.payments_of(order_id))
        if gateway_payment is None or gateway_payment.status not in ("authorized", "captured"):
            raise NotCapturable("The bank has not authorised a payment of this order.")
        origin = Origin(Source.ADMIN, "capture", actor=actor)
        if payment.final:
            # Before the gateway is called, so that its event, or a repeat, goes by the decision too.
            payment = await self._ledger.approve(payment, origin, gateway_payment)
        return require_fit(
            await self._capture_and_apply(payment, Evidence(origin, gateway_payment))
        )

    async def end(self, event: Event, payment: Payment, origin: Origin) -> Settled:
        """End the sale of an unpaid payment as expired or cancelled. Money that comes later is judged as late.

        Raises GatewayUnknown if the gateway's order is paid, and GatewayError, Unavailable.
        """
        if payment.razorpay_order_id is not None and not payment.final:
            await confirm_unpaid(self._gateway, payment.razorpay_order_id)
        row = await self._ledger.move(event, payment, origin)
        if row is not None:
            return _count_move(row, origin)
        return Settled(await self._ledger.get(id=payment.pk), Outcome.UNCHANGED)

    async def cancel(self, payment: Payment, origin: Origin) -> Payment:
        """Cancel an unpaid payment, and return it as stored afterwards.

        If there is money at the gateway, the payment is settled instead. Raises EvidenceMismatch, GatewayError,
        Unavailable.
        """
        if payment.razorpay_order_id is not None and not payment.final:
            attempts = await self._gateway.payments_of(payment.razorpay_order_id)
            best = best_attempt(attempts)
            if best is not None and best.status in ("captured", "authorized"):
                result = await self._capture_and_apply(payment, Evidence(origin, best))
                return require_fit(result).payment
        return (await self.end(Event.CANCELLED, payment, origin)).payment

    async def record_fee(self, payment: Payment, gateway_payment: GatewayPayment) -> None:
        """Store the gateway's fee and tax for a payment."""
        await self._ledger.record_fee(payment, gateway_payment.fee, gateway_payment.tax)

    async def _apply(self, payment: Payment, event: Event | None, evidence: Evidence) -> Settled:
        reason = await find_mismatch(self._gateway, payment, evidence.payment, event)
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
            reason = await find_mismatch(self._gateway, payment, gateway_payment)
            if payment.status.is_paid:
                # Razorpay: what nobody captures goes back by itself.
                return Settled(payment, Outcome.UNCHANGED)
            if payment.final and self._judge_late(payment, evidence) is LatePayments.HOLD:
                reason = reason or "late_payment"
            if reason is not None:
                return await self._record_mismatch(payment, evidence, reason)
            gateway_payment = await self._capture(gateway_payment)
            crash_point("capture.captured")
        event = Event.CAPTURED if gateway_payment.is_captured else Event.DECLINED
        return await self._apply(payment, event, replace(evidence, payment=gateway_payment))

    async def _capture(self, gateway_payment: GatewayPayment) -> GatewayPayment:
        crash_point("capture.checked")
        # Razorpay: the amount must be that of the payment, which may differ from the order's.
        try:
            return await self._gateway.capture(
                gateway_payment.id, gateway_payment.amount, gateway_payment.currency
            )
        except GatewayRejected:
            # Razorpay also rejects a capture when the payment was captured or refunded meanwhile.
            current = await self._gateway.fetch_payment(gateway_payment.id)
            if current.status == "authorized":
                raise
            return current

    async def _move(self, payment: Payment, event: Event, evidence: Evidence) -> Settled:
        gateway_payment = evidence.payment
        crash_point("settle.checked")
        if event is Event.CAPTURED and is_counted(payment, gateway_payment.id):
            # The process that stored it may have died before its own eviction.
            await self._ledger.evict_history(payment)
            return Settled(payment, Outcome.UNCHANGED)
        row = await self._write(event, payment, evidence)
        crash_point("settle.moved")
        if row is not None:
            return _count_move(row, evidence.origin)
        current = await self._ledger.get(id=payment.pk)
        if event is not Event.CAPTURED or is_counted(current, gateway_payment.id):
            return Settled(current, Outcome.UNCHANGED)
        if surplus := find_surplus(current, gateway_payment.id):
            return Settled(current, Outcome.SURPLUS, surplus.reason.value)
        if current.status.is_paid:
            return await self._surplus.enter(current, evidence, SurplusReason.SECOND)
        if current.final:
            return await self._settle_late(current, evidence)
        raise RowChanged

    async def _settle_late(self, payment: Payment, evidence: Evidence) -> Settled:
        match self._judge_late(payment, evidence):
            case LatePayments.HOLD:
                return await self._record_mismatch(payment, evidence, "late_payment")
            case LatePayments.REFUND:
                is_cancelled = payment.cancelled_at is not None
                reason = SurplusReason.CANCELLED if is_cancelled else SurplusReason.LATE
                return await self._surplus.enter(payment, evidence, reason)
            case LatePayments.CAPTURE:
                row = await self._write(Event.CAPTURED, payment, evidence, late=True)
        if row is None:
            raise RowChanged
        return _count_move(row, evidence.origin)

    async def _write(
        self, event: Event, payment: Payment, evidence: Evidence, *, late: bool = False
    ) -> Payment | None:
        facts = (evidence.origin, evidence.payment, evidence.signature, evidence.known_refunds)
        return await self._ledger.move(event, payment, *facts, late=late)

    def _judge_late(self, payment: Payment, evidence: Evidence) -> LatePayments:
        at = evidence.came_at(payment.created_at, self._clock())
        return self._lifetimes.judge_late(payment, evidence.payment.id, at)

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
        if not is_refund_of(gateway_payment, refund):
            return await self._record_mismatch(payment, evidence, "refund_of_another_payment")
        if not payment.status.is_paid and not find_surplus(payment, gateway_payment.id):
            # The refund event overtook the capture event: a refund proves the capture.
            evidence = replace(evidence, known_refunds=(refund,))
            result = await self._move(payment, Event.CAPTURED, evidence)
            if result.outcome is Outcome.MISMATCH:
                return result
            payment = result.payment
        if surplus := find_surplus(payment, gateway_payment.id):
            return await self._surplus.note_refund(payment, surplus, refund, evidence.origin)
        if payment.razorpay_payment_id != gateway_payment.id:
            return await self._record_mismatch(payment, evidence, "refund_of_second_payment")
        row = await self._ledger.record_refund(payment, refund, evidence.origin)
        crash_point("settle.refund_recorded")
        has_new_step = len(row.history) != len(payment.history)
        return Settled(row, Outcome.MOVED if has_new_step else Outcome.UNCHANGED)

    async def _record_mismatch(self, payment: Payment, evidence: Evidence, reason: str) -> Settled:
        origin = evidence.origin
        MISMATCHES.labels(origin.source.value).inc()
        facts = {"reason": reason, "gateway_event": origin.event}
        _log.error("evidence_mismatch", reference=payment.reference_id, **facts)
        await self._ledger.record_mismatch(payment, build_mismatch(evidence, reason, self._clock()))
        return Settled(payment, Outcome.MISMATCH, reason)


def _count_move(payment: Payment, origin: Origin) -> Settled:
    count_move(payment, origin.source)
    return Settled(payment, Outcome.MOVED)
