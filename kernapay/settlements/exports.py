"""The rows of settlements in an export, a line each: what reached the bank account."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime

from kernapay.core.business_days import BusinessDays
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money
from kernapay.settlements.dtos import ListedRow
from kernapay.settlements.models import BankSettlement
from kernapay.settlements.reports import CURRENCY
from kernapay.settlements.repository import SettlementRepository, SettlementRowRepository


class SettlementTable:
    """As in the ledger, rows of a settlement that is not processed, or failed, are left out."""

    name = "settlements"
    times = (By.SETTLED, By.PAID)
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

    def tally(self) -> Tally:
        return Tally(self.columns, ("currency", "type"), ("credit", "debit", "net", "fee", "tax"))

    async def batches(self, by: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the rows of what was paid between two times, or those of what was settled then."""
        if by is By.PAID:
            found = self._paid(start, end)
        else:
            found = self._settled(start, end)
        async for lines in found:
            yield lines

    async def _settled(self, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        settlements = await self._settlements.in_window(start, end)
        for settlement in sorted(settlements, key=lambda each: each.settled_at):
            if settlement.is_processed:
                async for batch in self._rows.batches_of(settlement.settlement_id):
                    yield self._lines(batch, {settlement.settlement_id: settlement})

    async def _paid(self, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        async for batch in self._rows.entered_between(start, end):
            ids = {row.settlement_id for row in batch if row.settlement_id}
            processed = await self._settlements.processed(ids)
            yield self._lines(batch, {each.settlement_id: each for each in processed})

    def _lines(
        self, batch: Iterable[ListedRow], settlements: Mapping[str, BankSettlement]
    ) -> Iterator[Line]:
        for row in batch:
            if settlement := settlements.get(row.settlement_id or ""):
                yield self._line(row, settlement)

    def _line(self, row: ListedRow, settlement: BankSettlement) -> Line:
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
