"""The refunds of an export, a line each."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from msgspec import Struct

from kernapay.core.business_days import BusinessDays
from kernapay.payments.dtos import PayoutView
from kernapay.payments.exports.payments import SETTLED_IN
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money


class RefundItem(Struct, rename="camel"):
    amount: int
    status: str
    created_at: datetime
    refund_id: str | None = None
    reason: str | None = None
    failure: str | None = None
    speed: str | None = None
    speed_processed: str | None = None
    arn: str | None = None
    updated_at: datetime | None = None


class RefundedPayment(Struct, rename="camel"):
    reference_id: str
    currency: str
    user_id: str
    service_type: str
    customer_id: str | None = None
    razorpay_payment_id: str | None = None
    livemode: bool | None = None
    refunds: list[RefundItem] = []
    settlements: list[PayoutView] = []


class RefundTable:
    name = "refunds"
    times = (By.CREATED, By.SETTLED)
    columns = (
        *("referenceId", "refundId", "status", "amount", "currency", "createdAt", "userId"),
        *("customerId", "serviceType", "razorpayPaymentId", "reason", "failure", "speed"),
        *("speedProcessed", "arn", "livemode", "updatedAt", "settlementId", "settlementUtr"),
        *("settledAt", "settledOn", "fee", "tax", "net", "createdOn"),
    )

    def __init__(self, payments: ExportRepository, days: BusinessDays) -> None:
        self._payments = payments
        self._days = days

    def tally(self) -> Tally:
        return Tally(self.columns, ("currency", "status"), ("amount", "fee", "tax", "net"))

    async def batches(self, by: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the refunds made or settled between two times."""
        if by is By.SETTLED:
            found = self._payments.with_settled_refund(RefundedPayment, start, end)
        else:
            found = self._payments.with_any(RefundedPayment, "refunds", start, end)
        async for batch in found:
            yield self._lines(batch, by, start, end)

    def _lines(
        self, batch: list[RefundedPayment], by: By, start: datetime, end: datetime
    ) -> Iterator[Line]:
        for payment in batch:
            rows = {each.entity_id: each for each in payment.settlements}
            for refund in payment.refunds:
                row = rows.get(refund.refund_id or "")
                at = refund.created_at if by is By.CREATED else row and row.settled_at
                if at and start <= at < end:
                    yield self._line(payment, refund, row)

    def _line(self, payment: RefundedPayment, refund: RefundItem, row: PayoutView | None) -> Line:
        return [
            payment.reference_id,
            refund.refund_id,
            refund.status,
            Money(refund.amount, payment.currency),
            payment.currency,
            refund.created_at,
            payment.user_id,
            payment.customer_id,
            payment.service_type,
            payment.razorpay_payment_id,
            refund.reason,
            refund.failure,
            refund.speed,
            refund.speed_processed,
            refund.arn,
            payment.livemode,
            refund.updated_at,
            *self._settled(row),
            self._days.day_of(refund.created_at),
        ]

    def _settled(self, row: PayoutView | None) -> Line:
        if row is None:
            return [None] * 7
        return [
            row.settlement_id,
            row.utr,
            row.settled_at,
            row.settled_at and self._days.day_of(row.settled_at),
            *(Money(amount, SETTLED_IN) for amount in (row.fee, row.tax, row.credit - row.debit)),
        ]
