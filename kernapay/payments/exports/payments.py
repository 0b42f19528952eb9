"""The payments of an export, a line each."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import astuple, fields

from kernapay.core.business_days import BusinessDays
from kernapay.payments.dtos import PayoutView
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money
from kernapay.payments.states import RefundStatus, Status

# Razorpay: fees, taxes and settlements are in rupees, whatever a payment's own currency is.
SETTLED_IN: Final = "INR"


class ExportedPayment(Struct, rename="camel"):
    """One line of an export. The field names are the header. Amounts are in minor units."""

    reference_id: str
    status: Status
    amount: int
    currency: str
    created_at: datetime
    user_id: str
    service_type: str
    provider_id: str | None = None
    description: str | None = None
    paid_at: datetime | None = None
    payment_method: str | None = None
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    livemode: bool | None = None
    payee_id: str | None = None
    fee: int | None = None
    tax: int | None = None
    settled_at: datetime | None = None
    amount_paid: int | None = None
    fee_bearer: str | None = None
    offer_id: str | None = None
    final: bool = False
    metadata: dict[str, Any] = {}
    customer_id: str | None = None
    # The last one, because its columns are others.
    settlements: list[PayoutView] = []


_NAMES: Final = [field.name for field in fields(ExportedPayment)]
_OWN_MONEY: Final = [_NAMES.index(name) for name in ("amount", "amount_refunded", "amount_paid")]
_GATEWAY_MONEY: Final = [_NAMES.index(name) for name in ("fee", "tax")]
# The settlement of the payment, of its refunds, and the days of the business, beside the times in UTC.
_FURTHER: Final = (
    *("settlementId", "settlementUtr", "settledAmount", "refundSettlementIds"),
    *("createdOn", "paidOn", "settledOn"),
)
_COLUMNS: Final = (
    *(field.encode_name for field in fields(ExportedPayment) if field.name != "settlements"),
    *_FURTHER,
)

_SUMMED: Final = ("amount", "amountPaid", "amountRefunded", "fee", "tax", "settledAmount")
_AMOUNT: Final = _COLUMNS.index("amount")
_STATUS: Final = _COLUMNS.index("status")


class PaymentTable:
    name = "payments"
    times = (By.CREATED, By.PAID, By.SETTLED)

    def __init__(
        self, payments: ExportRepository, days: BusinessDays, *, has_net: bool = True
    ) -> None:
        """`has_net` adds a column to those of earlier versions."""
        self.columns = (*_COLUMNS, "net") if has_net else _COLUMNS
        self._summed = (*_SUMMED, "net") if has_net else _SUMMED
        self._payments = payments
        self._days = days
        self._has_net = has_net

    def tally(self) -> Tally:
        return _PaymentTally(self.columns, ("currency", "status"), self._summed)

    async def batches(self, by: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the payments created, paid or settled between two times, oldest first."""
        async for batch in self._payments.payments(ExportedPayment, by, start, end):
            yield map(self._line, batch)

    def _line(self, row: ExportedPayment) -> Line:
        values = list(astuple(row)[:-1])
        for place, currency in (
            *((place, row.currency) for place in _OWN_MONEY),
            *((place, SETTLED_IN) for place in _GATEWAY_MONEY),
        ):
            if values[place] is not None:
                values[place] = Money(values[place], currency)
        return [*values, *self._further(row)]

    def _further(self, row: ExportedPayment) -> Iterator[Any]:
        own = [each for each in row.settlements if each.entity_id == row.razorpay_payment_id]
        yield own[0].settlement_id if own else None
        yield own[0].utr if own else None
        yield Money(own[0].credit - own[0].debit, SETTLED_IN) if own else None
        refunds = {each.settlement_id for each in row.settlements if each.type == "refund"}
        yield " ".join(sorted(refunds))
        for at in (row.created_at, row.paid_at, row.settled_at):
            yield at and self._days.day_of(at)
        if self._has_net:
            yield _net(row)


def _net(row: ExportedPayment) -> Money | None:
    """Return what remains of a payment after the gateway's fee, if it says so in the payment's own currency."""
    if row.fee is None or row.currency != SETTLED_IN:
        return None
    captured = row.amount if row.amount_paid is None else row.amount_paid
    return Money(captured - row.fee, row.currency)


class _PaymentTally(Tally):
    """Adds up as the totals of lists do."""

    def money_of(self, name: str, line: Line, place: int) -> Money | None:
        money = super().money_of(name, line, place)
        if name != "amountPaid":
            return money
        if not Status(str(line[_STATUS])).is_paid:
            return None
        # Of older rows, what was paid is what was ordered.
        return money or super().money_of(name, line, _AMOUNT)
