"""Bring one payment to its state at the gateway, for the worker and for repairs."""

from collections.abc import Awaitable, Sequence

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayMissing, GatewayPayment, GatewayRefund, PaymentGateway
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.matching import best_attempt, of_sale
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.outcomes import EvidenceMismatch, Settled
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Event, Source
from kernapay.payments.surplus import SurplusPayments
from kernapay.reconciliation.pacing import Pace

_log = structlog.get_logger("kernapay.reconciliation")
_ORIGIN = Origin(Source.RECONCILIATION, "reconcile")
_EXPIRED = Origin(Source.RECONCILIATION, "expired")


class Resync:
    def __init__(
        self,
        payments: PaymentRepository,
        settlement: Settlement,
        ordering: Ordering,
        refunds: RefundService,
        surplus: SurplusPayments,
        gateway: PaymentGateway,
        pace: Pace,
        lifetimes: Lifetimes,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._settlement = settlement
        self._ordering = ordering
        self._refunds = refunds
        self._surplus = surplus
        self._gateway = gateway
        self._pace = pace
        self._lifetimes = lifetimes
        self._clock = clock

    async def check(self, payment: Payment) -> None:
        """Resync a payment for the worker, and log its status."""
        status = await self.payment(payment)
        _log.info("payment_checked", reference=payment.reference_id, status=status)

    async def payment(self, payment: Payment) -> str:
        """Look up the payment at the gateway and settle the result. Return its status afterwards.

        Raises GatewayError, Unavailable. Nothing is lost then: the next check starts again.
        """
        crash_point("reconcile.claimed")
        if payment.razorpay_order_id is None:
            payment = await self._ordering.attach_existing_order(payment)
            crash_point("reconcile.adopted")
        if payment.razorpay_order_id is None:
            return await self._end_if_due(payment)
        order_id = payment.razorpay_order_id
        try:
            attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        except GatewayMissing:
            # The order of another account or mode. Nobody can pay it with our keys, so it ends like any unpaid one.
            if payment.status.is_paid:
                raise
            attempts = ()
        crash_point("reconcile.asked")
        attempts = of_sale(payment, attempts)
        best = best_attempt(attempts)
        if best is None or best.status == "created":
            return await self._end_if_due(payment)
        await self._settle(best)
        for extra in attempts:
            # A second capture of one order goes back, unless `of_sale` leaves it to a person.
            if extra.id != best.id and extra.is_captured and payment.former is None:
                await _settle(self._settlement.settle(Event.CAPTURED, Evidence(_ORIGIN, extra)))
        payment = await self._refunds.resume(await self._payments.get(id=payment.pk))
        crash_point("reconcile.settled")
        if payment.refunds or any(attempt.amount_refunded for attempt in attempts):
            payment = await self._record_refunds(payment)
        if best.status in ("captured", "authorized"):
            return payment.status.value  # also where it does not fit: a person decides, not time
        return await self._end_if_due(payment)

    async def return_second(self, second: GatewayPayment) -> None:
        """Enter a second payment of an order, and return it. Raises PaymentDisputed, GatewayError, Unavailable."""
        await _settle(self._settlement.settle(Event.CAPTURED, Evidence(_ORIGIN, second)))
        await self._surplus.return_rest(second)

    async def expire(self, payment: Payment) -> str:
        """Expire a payment whose order does not exist at the gateway. Return its status afterwards."""
        result = await self._settlement.end(Event.EXPIRED, payment, _EXPIRED)
        return result.payment.status.value

    async def _settle(self, gateway_payment: GatewayPayment) -> None:
        if gateway_payment.status == "failed":
            evidence = Evidence(_ORIGIN, gateway_payment)
            await _settle(self._settlement.settle(Event.DECLINED, evidence))
            return
        refunds: Sequence[GatewayRefund] = ()
        if gateway_payment.is_captured and gateway_payment.amount_refunded:
            refunds = await self._pace.call(lambda: self._gateway.refunds_of(gateway_payment.id))
        evidence = Evidence(_ORIGIN, gateway_payment, known_refunds=tuple(refunds))
        await _settle(self._settlement.capture_and_settle(evidence))

    async def _record_refunds(self, payment: Payment) -> Payment:
        payment_id = payment.razorpay_payment_id
        if payment_id is None or not payment.status.is_paid:
            return payment
        gateway_payment = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
        for refund in await self._pace.call(lambda: self._gateway.refunds_of(payment_id)):
            evidence = Evidence(_ORIGIN, gateway_payment, refund)
            result = await _settle(self._settlement.settle(None, evidence))
            payment = result.payment if result else payment
        return payment

    async def _end_if_due(self, payment: Payment) -> str:
        if self._lifetimes.has_expired(payment, self._clock()):
            return await self.expire(payment)
        return payment.status.value


async def _settle(settling: Awaitable[Settled]) -> Settled | None:
    """Settle one piece of evidence. Return None if it does not match: it is stored, and the others go on."""
    try:
        return await settling
    except EvidenceMismatch as error:
        _log.info("mismatch_recorded", reason=error.reason)
        return None
