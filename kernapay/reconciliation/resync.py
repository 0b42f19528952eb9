"""Bring one payment to what the gateway says of it; the same for the worker, repairs and calls by hand."""

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayPayment, PaymentGateway
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.matching import best_attempt
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Event, Source
from kernapay.reconciliation.pacing import Pace

_log = structlog.get_logger("kernapay.reconciliation")
_ORIGIN = Origin(Source.RECONCILIATION, "reconcile")


class Resync:
    def __init__(
        self,
        payments: PaymentRepository,
        settlement: Settlement,
        ordering: Ordering,
        refunds: RefundService,
        gateway: PaymentGateway,
        pace: Pace,
        lifetimes: Lifetimes,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._settlement = settlement
        self._ordering = ordering
        self._refunds = refunds
        self._gateway = gateway
        self._pace = pace
        self._lifetimes = lifetimes
        self._clock = clock

    async def check(self, payment: Payment) -> None:
        """Do `payment` for the worker, and log what came of it."""
        status = await self.payment(payment)
        _log.info("payment_checked", payment=str(payment.pk), status=status)

    async def payment(self, payment: Payment) -> str:
        """Look the payment up at the gateway and settle what is found; return its status then.

        Raises GatewayError, Unavailable: nothing is lost, the next look finds the same.
        """
        crash_point("reconcile.claimed")
        if payment.razorpay_order_id is None:
            payment = await self._ordering.adopt(payment)
            crash_point("reconcile.adopted")
        if payment.razorpay_order_id is None:
            return await self._expire_if_old(payment)
        order_id = payment.razorpay_order_id
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        crash_point("reconcile.asked")
        best = best_attempt(attempts)
        if best is None or best.status == "created":
            return await self._expire_if_old(payment)
        await self._settle(best)
        for extra in attempts:
            # Settlement flags a second capture on one order.
            if extra.id != best.id and extra.is_captured:
                await self._settlement.settle(Event.CAPTURED, Evidence(_ORIGIN, extra))
        payment = await self._refunds.resume(await self._payments.get(id=payment.pk))
        crash_point("reconcile.settled")
        if best.amount_refunded or payment.refunds:
            payment = await self._record_refunds(payment)
        return payment.status.value

    async def give_up(self, payment: Payment) -> str:
        """End a payment whose order the gateway does not know; return its status then."""
        return (await self._settlement.expire(payment)).payment.status.value

    async def _settle(self, facts: GatewayPayment) -> None:
        evidence = Evidence(_ORIGIN, facts)
        if facts.status == "failed":
            await self._settlement.settle(Event.DECLINED, evidence)
        else:
            await self._settlement.capture_and_settle(evidence)

    async def _record_refunds(self, payment: Payment) -> Payment:
        payment_id = payment.razorpay_payment_id
        if payment_id is None or not payment.status.is_paid:
            return payment
        facts = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
        for refund in await self._pace.call(lambda: self._gateway.refunds_of(payment_id)):
            settled = await self._settlement.settle(None, Evidence(_ORIGIN, facts, refund))
            payment = settled.payment
        return payment

    async def _expire_if_old(self, payment: Payment) -> str:
        if self._lifetimes.has_expired(payment, self._clock()):
            payment = (await self._settlement.expire(payment)).payment
        return payment.status.value
