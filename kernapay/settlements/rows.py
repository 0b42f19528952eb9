"""Rows of the feed: their identity, what a later read adds, and their sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from kernapay.settlements.models import SettlementRow

_MONEY: Final = ("credit", "debit", "amount", "fee", "tax")
_FACTS: Final = (
    *("currency", "entered_at", "settled_at", "utr", "payment_id", "order_id", "order_receipt"),
    *("dispute_id", "method", "credit_type", "description", "on_hold"),
)


@dataclass(slots=True)
class Sums:
    """The sums of some rows, in minor units."""

    rows: int = 0
    credit: int = 0
    debit: int = 0
    fee: int = 0
    tax: int = 0
    flaws: int = 0
    contradictions: int = 0

    @property
    def net(self) -> int:
        return self.credit - self.debit

    def as_mapping(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}

    def add(self, found: Mapping[str, int]) -> "Sums":
        """Add a sum, and return this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + found[name])
        return self


class Group(NamedTuple):
    """Rows of one settlement and one type. `quarter` is the start of the quarter of an hour they were entered in."""

    settlement_id: str
    type: str
    quarter: datetime | None


def key_of(row: SettlementRow) -> tuple[str | None, str, str]:
    """Return the identity of a row."""
    return (row.settlement_id, row.entity_id, row.type)


def later_facts(before: SettlementRow, row: SettlementRow) -> dict[str, Any] | None:
    """Return the MongoDB update with the values that a later read of a row adds, None if it adds nothing.

    The first amounts that can be read take the place of those of a row that could not be read.
    """
    columns = SettlementRow._fields
    missing = {
        columns[name].db_field: getattr(row, name)
        for name in _FACTS
        if getattr(before, name) is None and getattr(row, name) is not None
    }
    change: dict[str, Any] = {}
    money = {name: getattr(row, name) for name in _MONEY}
    if before.flaw is not None and row.flaw is None:
        return {"$set": {**missing, **money}, "$unset": {"enteredInPaymentAt": "", "flaw": ""}}
    if missing:
        # The payment does not know it either.
        change = {"$set": missing, "$unset": {"enteredInPaymentAt": ""}}
    is_other = any(getattr(before, name) != value for name, value in money.items())
    other = ", ".join(f"{name} {value}" for name, value in money.items())
    if is_other and row.flaw is None and other not in before.contradictions:
        change["$addToSet"] = {"contradictions": other}
    return change or None
