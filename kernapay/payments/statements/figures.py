"""Add the lines of a statement up: by currency, by day, and by transfer to the bank account."""

from datetime import date
from typing import Final

from kernapay.payments.exports.payments import SETTLED_IN
from kernapay.payments.exports.tally import Tally, Total
from kernapay.payments.exports.values import Line, Lines, Money
from kernapay.payments.statements.dtos import (
    Statement,
    StatementDay,
    StatementFigures,
    StatementTransfer,
)
from kernapay.payments.statements.table import COLUMNS, DISPUTE, PAYMENT, REFUND, SETTLEMENT
from kernapay.payments.states import RefundState, Status

_PLACES: Final = {name: place for place, name in enumerate(COLUMNS)}
_UNDER_WAY: Final = frozenset({RefundState.REQUESTED.value, RefundState.PENDING.value})


class StatementSums:
    """Adds up lines by day and by transfer, beside a tally of all."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._days: dict[tuple[date, str], StatementDay] = {}
        self._transfers: dict[str, StatementTransfer] = {}

    def add(self, lines: Lines) -> None:
        """Add up lines. It blocks, because iterating makes the lines."""
        for line in self._tally.over(lines):
            self._count(line)

    def figures(self) -> list[StatementFigures]:
        """Return the figures of each currency, or zeros in rupees if there are none."""
        found: dict[str, StatementFigures] = {}
        for total in self._tally.totals():
            if total.key:
                _enter(total, found)
        if not found:
            found[SETTLED_IN] = StatementFigures(currency=SETTLED_IN)
        for each in found.values():
            if each.currency == SETTLED_IN:
                each.net = each.received - each.fee - each.refunded - each.deducted
        return [found[currency] for currency in sorted(found)]

    def days(self) -> list[StatementDay]:
        return [self._days[key] for key in sorted(self._days)]

    def transfers(self) -> list[StatementTransfer]:
        return sorted(self._transfers.values(), key=lambda each: (each.on, each.settlement_id))

    def _count(self, line: Line) -> None:
        kind, on = str(line[_PLACES["kind"]]), line[_PLACES["on"]]
        if not isinstance(on, date):
            return
        amount = line[_PLACES["net" if kind == SETTLEMENT else "amount"]]
        if not isinstance(amount, Money):
            return
        status = str(line[_PLACES["status"]])
        day = self._day(on, amount.currency)
        if kind == PAYMENT and Status(status).is_paid:
            day.received += amount.amount
        elif kind == REFUND and status == RefundState.PROCESSED.value:
            day.refunded += amount.amount
        elif kind == SETTLEMENT:
            day.settled += amount.amount
            self._enter_transfer(line, on, amount.amount)

    def _day(self, on: date, currency: str) -> StatementDay:
        return self._days.setdefault((on, currency), StatementDay(on=on, currency=currency))

    def _enter_transfer(self, line: Line, on: date, amount: int) -> None:
        settlement_id, utr = str(line[_PLACES["settlementId"]]), line[_PLACES["settlementUtr"]]
        transfer = self._transfers.setdefault(
            settlement_id,
            StatementTransfer(
                settlement_id=settlement_id, utr=str(utr) if utr else None, on=on, amount=0
            ),
        )
        transfer.amount += amount


def is_empty(statement: Statement) -> bool:
    """Return whether nothing happened in the month."""
    nothing = StatementFigures(currency=SETTLED_IN, net=0)
    return not statement.days and statement.figures == [nothing]


def _enter(total: Total, found: dict[str, StatementFigures]) -> None:
    kind, status = total.key["kind"], total.key["status"]

    def of(name: str) -> tuple[StatementFigures, int]:
        """Return the figures of the currency in which a sum is, and the sum."""
        money = total.sums.get(name) or Money(0, total.key["currency"])
        figures = found.setdefault(money.currency, StatementFigures(currency=money.currency))
        return figures, money.amount

    if kind == PAYMENT:
        # A sale that is not paid has no money, whatever else it says.
        if Status(status).is_paid:
            own, amount = of("amount")
            own.payments += total.count
            own.received += amount
            for name in ("fee", "tax"):
                figures, amount = of(name)
                setattr(figures, name, getattr(figures, name) + amount)
    elif kind == REFUND:
        own, amount = of("amount")
        if status == RefundState.PROCESSED.value:
            own.refunds += total.count
            own.refunded += amount
        elif status in _UNDER_WAY:
            own.refunds_under_way += amount
    elif kind == DISPUTE:
        own, amount = of("amount")
        own.disputes += total.count
        own.disputed += amount
        own.deducted += of("deducted")[1]
    else:
        figures, amount = of("net")
        figures.settled += amount
