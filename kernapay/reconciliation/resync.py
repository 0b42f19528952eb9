"""Bring one payment to what the gateway says of it; the same for sweeps, repairs and calls by hand."""

from datetime import timedelta

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crashpoints import crash_point
from kernapay.gateway.base import GatewayPayment, PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.settlement import Evidence, Settlement, best_attempt
from kernapay.payments.states import Event, Source, Status
from kernapay.reconciliation.pacing import Pace

_log = structlog.get_logger("kernapay.reconciliation")


class Resync:
    def __init__(
        self,
        payments: PaymentRepository,
        settlement: Settlement,
        ordering: Ordering,
        refunds: RefundService,
        gateway: PaymentGateway,
        pace: Pace,
        expiry: timedelta,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._settlement = settlement
        self._ordering = ordering
        self._refunds = refunds
        self._gateway = gateway
        self._pace = pace
        self._expiry = expiry
        self._clock = clock

    async def payment(self, payment: Payment) -> str:
        """Look the payment up and settle what is found; the status it has then.

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
            # A second capture on one order is flagged by the same door.
            if extra.id != best.id and extra.captured:
                await self._settlement.settle(Event.CAPTURED, self._evidence(extra))
        payment = await self._refunds.resume(await self._payments.get(id=payment.pk))
        crash_point("reconcile.settled")
        if best.amount_refunded or payment.refunds:
            payment = await self._take_refunds(payment)
        return payment.status.value

    async def give_up(self, payment: Payment) -> str:
        """End a payment whose order the gateway does not know; the status it has then."""
        return (await self._settlement.expire(payment)).payment.status.value

    async def _settle(self, facts: GatewayPayment) -> None:
        if facts.status == "failed":
            await self._settlement.settle(Event.DECLINED, self._evidence(facts))
        else:
            await self._settlement.capture_and_settle(self._evidence(facts))

    async def _take_refunds(self, payment: Payment) -> Payment:
        payment_id = payment.razorpay_payment_id
        if payment_id is None or payment.status not in (Status.SUCCESS, Status.REFUNDED):
            return payment
        facts = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
        for refund in await self._pace.call(lambda: self._gateway.refunds_of(payment_id)):
            settled = await self._settlement.settle(
                None, Evidence(Source.RECONCILIATION, "reconcile", facts, refund=refund)
            )
            payment = settled.payment
        return payment

    async def _expire_if_old(self, payment: Payment) -> str:
        if (
            payment.status is Status.PENDING
            and payment.authorized_at is None
            and payment.created_at + self._expiry < self._clock()
        ):
            payment = (await self._settlement.expire(payment)).payment
        return payment.status.value

    def _evidence(self, facts: GatewayPayment) -> Evidence:
        return Evidence(Source.RECONCILIATION, "reconcile", facts)
