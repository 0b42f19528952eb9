"""The content of a statement as texts. `pdf.py` draws it and `plain_text.py` writes it."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from kernapay.core.business_days import BusinessDays
from kernapay.core.text import show_controls
from kernapay.payments.currencies import write_amount
from kernapay.payments.exports.payments import SETTLED_IN
from kernapay.payments.statements.dtos import Statement, StatementFigures
from kernapay.payments.statements.months import read_month

_SOFT: Final = "soft"
_PLAIN: Final = "plain"
_TOTAL: Final = "total"


class Amount(Struct, frozen=True):
    """A label and an amount. `tone` is soft, plain or total."""

    label: str
    amount: str
    tone: str


class Grid(Struct, frozen=True):
    """Rows of texts below their heads. All but the first columns are amounts; `texts` says how many are not."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


class StatementSheet(Struct, frozen=True):
    """The texts of a statement. `seller` and `provider` are others' texts."""

    seller: str
    provider: str
    provider_id: str
    month: str
    period: str
    banner: str
    figures: tuple[tuple[Amount, ...], ...]
    grids: tuple[Grid, ...]
    footer: tuple[str, ...]
    made_at: datetime
    """The end of the month, so that the same statement is the same document."""

    @property
    def given(self) -> list[str]:
        """The texts of others, whose scripts decide which fonts are needed."""
        return [self.seller, self.provider]


def statement_sheet(statement: Statement, seller: str, days: BusinessDays) -> StatementSheet:
    """Return the content of a statement."""
    month = read_month(statement.month)
    last = days.day_of(statement.end).toordinal() - 1
    return StatementSheet(
        seller=seller,
        provider=show_controls(statement.provider or "") or "-",
        provider_id=statement.provider_id,
        month=f"{month.first_day:%B %Y}",
        period=f"{_day(month.first_day)} to {_day(date.fromordinal(last))}, {statement.timezone}",
        banner="" if statement.is_over else "This month is not over yet",
        figures=tuple(tuple(_amounts(each)) for each in statement.figures),
        grids=tuple(_grids(statement)),
        footer=tuple(_footer(statement)),
        made_at=days.local(statement.end),
    )


def _amounts(figures: StatementFigures) -> Iterator[Amount]:
    currency = figures.currency

    def amount(label: str, value: int, tone: str = _PLAIN) -> Amount:
        return Amount(label, write_amount(value, currency), tone)

    yield amount(f"Received: {_count(figures.payments, 'payment')}", figures.received)
    if figures.fee or currency == SETTLED_IN:
        yield amount("The gateway\N{RIGHT SINGLE QUOTATION MARK}s fee", -figures.fee)
        yield amount("of which tax", figures.tax, _SOFT)
    yield amount(f"Refunded: {_count(figures.refunds, 'refund')}", -figures.refunded)
    if figures.deducted:
        yield amount("Deducted for disputes", -figures.deducted)
    if figures.net is not None:
        yield amount("Net", figures.net, _TOTAL)
        yield amount("Settled to the bank account in this month", figures.settled)
    if figures.refunds_under_way:
        yield amount("Refunds under way", figures.refunds_under_way, _SOFT)
    if figures.disputes:
        label = f"Asked back by banks: {_count(figures.disputes, 'dispute')}"
        yield amount(label, figures.disputed, _SOFT)


def _grids(statement: Statement) -> Iterator[Grid]:
    if statement.transfers:
        rows = (
            (_day(each.on), each.utr or each.settlement_id, write_amount(each.amount, SETTLED_IN))
            for each in statement.transfers
        )
        yield Grid("Transfers", ("Day", "UTR", "Your part"), tuple(rows), texts=2)
    for currency in sorted({day.currency for day in statement.days}):
        days = (
            (
                _day(day.on),
                *(write_amount(each, currency) for each in (day.received, -day.refunded)),
                write_amount(day.settled, currency) if currency == SETTLED_IN else "",
            )
            for day in statement.days
            if day.currency == currency
        )
        heads = ("Day", "Received", "Refunded", "Settled" if currency == SETTLED_IN else "")
        yield Grid(f"Days, in {currency}", heads, tuple(days))


def _footer(statement: Statement) -> Iterator[str]:
    yield "It says what is known now. A refund or a dispute of the month may still change."
    if any(each.currency != SETTLED_IN for each in statement.figures):
        yield "The gateway takes its fee, and settles, in rupees, also for payments in other currencies."
    yield "The lines behind these figures are in the statement as CSV."


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
