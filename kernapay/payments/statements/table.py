"""The lines of a statement: what was paid to one provider, refunded, disputed and settled in a month.

Payments, refunds and disputes are lines of the exports, so both agree. What was settled is read from the payments,
where each row of a settlement is entered that concerns them.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from kernapay.core.business_days import BusinessDays
from kernapay.payments.dtos import PayoutView
from kernapay.payments.exports.disputes import DisputeTable
from kernapay.payments.exports.payments import SETTLED_IN, PaymentTable
from kernapay.payments.exports.refunds import RefundTable
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money

PAYMENT: Final = "payment"
REFUND: Final = "refund"
DISPUTE: Final = "dispute"
SETTLEMENT: Final = "settlement"
# The first column of totals says that they are such, so it is none that tells them apart.
COLUMNS: Final = (
    *("referenceId", "kind", "on", "at", "id", "status", "amount", "currency", "fee", "tax"),
    *("net", "deducted", "settlementId", "settlementUtr", "serviceType", "description"),
)
_KIND: Final = COLUMNS.index("kind")
# Which columns of the exports stand where. What is not named is empty.
_PAYMENT: Final = {
    "on": "paidOn",
    "at": "paidAt",
    "id": "razorpayPaymentId",
    "amount": "amountPaid",
    **{name: name for name in ("referenceId", "status", "currency", "fee", "tax", "net")},
    **{name: name for name in ("settlementId", "settlementUtr", "serviceType", "description")},
}
_REFUND: Final = {
    "on": "createdOn",
    "at": "createdAt",
    "id": "refundId",
    "description": "reason",
    **{name: name for name in ("referenceId", "status", "amount", "currency", "serviceType")},
    **{name: name for name in ("settlementId", "settlementUtr")},
}
_DISPUTE: Final = {
    "on": "createdOn",
    "at": "createdAt",
    "id": "disputeId",
    "deducted": "amountDeducted",
    "description": "reasonDescription",
    **{name: name for name in ("referenceId", "status", "amount", "currency", "serviceType")},
}


class SettledPayment(Struct, rename="camel"):
    reference_id: str
    service_type: str
    settlements: list[PayoutView] = []


class StatementTable:
    name = "statement"
    columns = COLUMNS
    times = (By.CREATED,)

    def __init__(self, payments: ExportRepository, provider_id: str, days: BusinessDays) -> None:
        self._payments = payments.paid_to(provider_id)
        self._days = days

    def tally(self) -> Tally:
        keys = ("kind", "currency", "status")
        return Tally(COLUMNS, keys, ("amount", "fee", "tax", "net", "deducted"))

    async def batches(self, _: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield what was paid, refunded, disputed and settled between two times."""
        payments = PaymentTable(self._payments, self._days)
        async for batch in payments.batches(By.PAID, start, end):
            yield _moved(PAYMENT, payments.columns, _PAYMENT, batch)
        refunds = RefundTable(self._payments, self._days)
        async for batch in refunds.batches(By.CREATED, start, end):
            yield _moved(REFUND, refunds.columns, _REFUND, batch)
        disputes = DisputeTable(self._payments, self._days)
        async for batch in disputes.batches(By.CREATED, start, end):
            yield _moved(DISPUTE, disputes.columns, _DISPUTE, batch)
        async for rows in self._payments.with_settled_row(SettledPayment, start, end):
            yield self._settled(rows, start, end)

    def _settled(
        self, batch: Iterable[SettledPayment], start: datetime, end: datetime
    ) -> Iterator[Line]:
        for payment in batch:
            for row in payment.settlements:
                if row.settled_at is not None and start <= row.settled_at < end:
                    yield self._line(payment, row, row.settled_at)

    def _line(self, payment: SettledPayment, row: PayoutView, at: datetime) -> Line:
        values: dict[str, Any] = {
            "kind": SETTLEMENT,
            "on": self._days.day_of(at),
            "at": at,
            "referenceId": payment.reference_id,
            "id": row.entity_id,
            "status": row.type,
            "currency": SETTLED_IN,
            "fee": Money(row.fee, SETTLED_IN),
            "tax": Money(row.tax, SETTLED_IN),
            "net": Money(row.credit - row.debit, SETTLED_IN),
            "settlementId": row.settlement_id,
            "settlementUtr": row.utr,
            "serviceType": payment.service_type,
        }
        return [values.get(name) for name in COLUMNS]


def _moved(
    kind: str, columns: Sequence[str], sources: Mapping[str, str], lines: Lines
) -> Iterator[Line]:
    """Yield the lines of an export as lines of a statement."""
    places = [columns.index(sources[name]) if name in sources else None for name in COLUMNS]
    amount, ordered = COLUMNS.index("amount"), columns.index("amount")
    for line in lines:
        moved = [None if place is None else line[place] for place in places]
        moved[_KIND] = kind
        # Of older payments, what was paid is what was ordered.
        moved[amount] = moved[amount] or line[ordered]
        yield moved
