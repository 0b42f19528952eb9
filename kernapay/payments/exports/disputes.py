"""The disputes of an export, a line each."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from msgspec import Struct

from kernapay.core.business_days import BusinessDays
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money


class DisputeItem(Struct, rename="camel"):
    dispute_id: str
    payment_id: str
    amount: int
    currency: str
    status: str
    phase: str
    created_at: datetime
    amount_deducted: int = 0
    reason_code: str | None = None
    reason_description: str | None = None
    respond_by: datetime | None = None
    updated_at: datetime | None = None


class DisputedPayment(Struct, rename="camel"):
    reference_id: str
    user_id: str
    service_type: str
    customer_id: str | None = None
    livemode: bool | None = None
    disputes: list[DisputeItem] = []


class DisputeTable:
    name = "disputes"
    times = (By.CREATED,)
    columns = (
        *("referenceId", "disputeId", "status", "amount", "amountDeducted", "currency"),
        *("createdAt", "userId", "customerId", "serviceType", "razorpayPaymentId", "phase"),
        *("reasonCode", "reasonDescription", "respondBy", "livemode", "updatedAt", "createdOn"),
    )

    def __init__(self, payments: ExportRepository, days: BusinessDays) -> None:
        self._payments = payments
        self._days = days

    def tally(self) -> Tally:
        return Tally(self.columns, ("currency", "status"), ("amount", "amountDeducted"))

    async def batches(self, by: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the disputes raised between two times."""
        async for batch in self._payments.with_any(DisputedPayment, "disputes", start, end):
            yield self._lines(batch, start, end)

    def _lines(
        self, batch: list[DisputedPayment], start: datetime, end: datetime
    ) -> Iterator[Line]:
        for payment in batch:
            for dispute in payment.disputes:
                if start <= dispute.created_at < end:
                    yield self._line(payment, dispute)

    def _line(self, payment: DisputedPayment, dispute: DisputeItem) -> Line:
        return [
            payment.reference_id,
            dispute.dispute_id,
            dispute.status,
            Money(dispute.amount, dispute.currency),
            Money(dispute.amount_deducted, dispute.currency),
            dispute.currency,
            dispute.created_at,
            payment.user_id,
            payment.customer_id,
            payment.service_type,
            dispute.payment_id,
            dispute.phase,
            dispute.reason_code,
            dispute.reason_description,
            dispute.respond_by,
            payment.livemode,
            dispute.updated_at,
            self._days.day_of(dispute.created_at),
        ]
