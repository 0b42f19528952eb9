"""The rows of settlements in an export, a line each: what reached the bank account."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime

from kernapay.core.business_days import BusinessDays
from kernapay.payments.exports.values import Line, Lines, Money
from kernapay.settlements.books import CURRENCY
from kernapay.settlements.dtos import SettlementRowView
from kernapay.settlements.models import BankSettlement
from kernapay.settlements.repository import SettlementRepository, SettlementRowRepository


class SettlementTable:
    """As in the ledger, rows of a settlement that is not processed, or failed, are left out."""

    name = "settlements"
    columns = (
        *("settlementId", "type", "entityId", "credit", "debit", "net", "fee", "tax", "currency"),
        *("settledAt", "settlementUtr", "enteredAt", "amount", "amountCurrency", "referenceId"),
        *("paymentId", "orderId", "orderReceipt", "disputeId", "method", "creditType"),
        *("description", "onHold", "flaw", "enteredOn", "settledOn"),
    )

    def __init__(
        self, settlements: SettlementRepository, rows: SettlementRowRepository, days: BusinessDays
    ) -> None:
        self._settlements = settlements
        self._rows = rows
        self._days = days

    async def batches(self, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the rows of the settlements between two times, one settlement after the other."""
        settlements = await self._settlements.in_window(start, end)
        for settlement in sorted(settlements, key=lambda each: each.settled_at):
            if settlement.is_processed:
                async for batch in self._rows.batches_of(settlement.settlement_id):
                    yield self._lines(batch, settlement)

    def _lines(
        self, batch: Iterable[SettlementRowView], settlement: BankSettlement
    ) -> Iterator[Line]:
        return (self._line(row, settlement) for row in batch)

    def _line(self, row: SettlementRowView, settlement: BankSettlement) -> Line:
        return [
            settlement.settlement_id,
            row.type,
            row.entity_id,
            *(
                Money(amount, CURRENCY)
                for amount in (row.credit, row.debit, row.credit - row.debit, row.fee, row.tax)
            ),
            CURRENCY,
            settlement.settled_at,
            row.utr or settlement.utr,
            row.entered_at,
            Money(row.amount, row.currency or CURRENCY),
            row.currency,
            row.reference_id,
            row.payment_id,
            row.order_id,
            row.order_receipt,
            row.dispute_id,
            row.method,
            row.credit_type,
            row.description,
            row.on_hold,
            row.flaw,
            row.entered_at and self._days.day_of(row.entered_at),
            self._days.day_of(settlement.settled_at),
        ]
