"""Compare one order of the gateway with the payment that it belongs to."""

from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import replace

from kernapay.gateway.base import (
    GatewayMissing,
    GatewayPayment,
    GatewayTooOld,
    Order,
    PaymentGateway,
)
from kernapay.payments.models import Payment
from kernapay.payments.references import receipt_of
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import sum_lost
from kernapay.payments.states import Status
from kernapay.payments.surplus_refunds import Surplus
from kernapay.reconciliation.differences import Difference, compare, describe, refunds_agree
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.pacing import Pace


class OrderComparison:
    """Compares payments one by one. Each method raises GatewayError, Unavailable."""

    def __init__(self, payments: PaymentRepository, gateway: PaymentGateway, pace: Pace) -> None:
        self._payments = payments
        self._gateway = gateway
        self._pace = pace
        self.money: MutableMapping[str, Counter[str]] = {}

    async def look_up(self, payment: Payment) -> list[Difference]:
        """Ask the gateway for the order of a payment, and return the differences."""
        if payment.razorpay_order_id is None:
            receipt = receipt_of(payment)
            orders = await self._pace.call(lambda: self._gateway.find_orders(receipt))
            return [
                Difference(Kind.UNATTACHED_ORDER, payment, order.id, theirs=describe(order))
                for order in orders[:1]
            ]
        try:
            order = await self._fetch_order(payment, payment.razorpay_order_id)
        except GatewayMissing as error:
            if payment.status is Status.FAILED:
                return []  # not paid here, unknown there
            self._count(payment, ())
            ours = describe(payment)
            order_id = payment.razorpay_order_id
            return [
                Difference(Kind.MISSING_THERE, payment, order_id, ours=ours, theirs=error.detail)
            ]
        return await self.compare(payment, order)

    async def compare(
        self, payment: Payment, order: Order, attempts: Sequence[GatewayPayment] | None = None
    ) -> list[Difference]:
        """Return the differences between a payment and an order with its receipt.

        Without `attempts`, the gateway is asked for them.
        """
        if payment.razorpay_order_id is None:
            return [Difference(Kind.UNATTACHED_ORDER, payment, order.id, theirs=describe(order))]
        if payment.razorpay_order_id != order.id:
            return await self._compare_surplus(payment, order)
        if attempts is None:
            attempts = await self._pace.call(lambda: self._gateway.payments_of(order.id))
        self._count(payment, attempts)
        if not compare(payment, order, attempts):
            return []
        # Either side may have changed since it was read. Report only what still differs now.
        return await self.compare_again(payment, order.id)

    async def compare_again(self, payment: Payment, order_id: str) -> list[Difference]:
        """Read one payment again on both sides, with the refunds that matter, and return its differences."""
        order = await self._fetch_order(payment, order_id)
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        payment = await self._payments.get(id=payment.pk)
        differences = []
        for difference in compare(payment, order, attempts):
            if difference.kind is Kind.SECOND_PAYMENT:
                second = next(a for a in attempts if a.id == difference.razorpay_payment_id)
                surplus = await self._refunds_of(second, payment)
                if surplus.is_returned:
                    continue
                theirs = f"{second.amount} {second.currency}, returned {surplus.returned}"
                differences.append(replace(difference, theirs=theirs))
                continue
            if difference.kind is Kind.REFUNDS:
                payment_id = str(difference.razorpay_payment_id)
                refunds = await self._pace.call(
                    lambda payment_id=payment_id: self._gateway.refunds_of(payment_id)  # type: ignore[misc]
                )
                if refunds_agree(payment, refunds):
                    continue
            differences.append(difference)
        return differences

    async def find_unreturned(self, order_id: str, payment: Payment) -> list[Surplus]:
        """Return the captured payments of an order whose money has not gone back to the customer."""
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        captures = [await self._refunds_of(each, payment) for each in attempts if each.is_captured]
        return [each for each in captures if not each.is_returned]

    async def _compare_surplus(self, payment: Payment, order: Order) -> list[Difference]:
        # A surplus order that is stored as such and has no money in it is harmless.
        if order.id in payment.surplus_orders and not await self.find_unreturned(order.id, payment):
            return []
        ours = payment.razorpay_order_id
        return [
            Difference(Kind.SURPLUS_ORDER, payment, order.id, ours=ours, theirs=describe(order))
        ]

    async def _refunds_of(self, capture: GatewayPayment, payment: Payment) -> Surplus:
        refunds = await self._pace.call(lambda: self._gateway.refunds_of(capture.id))
        return Surplus(capture, refunds, sum_lost(payment, capture.id))

    async def _fetch_order(self, payment: Payment, order_id: str) -> Order:
        try:
            return await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        except GatewayTooOld:
            # Razorpay: an order older than 180 days cannot be fetched by its id, but still be found.
            receipt = receipt_of(payment)
            orders = await self._pace.call(lambda: self._gateway.find_orders(receipt))
            order = next((order for order in orders if order.id == order_id), None)
            if order is None:
                raise
            return order

    def _count(self, payment: Payment, attempts: Sequence[GatewayPayment]) -> None:
        ours = self.money.setdefault(payment.currency, Counter())
        if payment.status.is_paid:
            ours["paidHere"] += payment.amount_captured
        ours["refundedHere"] += payment.amount_refunded
        for attempt in attempts:
            if attempt.is_captured:
                theirs = self.money.setdefault(attempt.currency, Counter())
                theirs["paidThere"] += attempt.amount
                theirs["refundedThere"] += attempt.amount_refunded or 0
