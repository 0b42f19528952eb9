"""The values of an export's cells, the same for every format."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from kernapay.payments.currencies import exponent


class FileFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"


class Unit(StrEnum):
    """Whether amounts are in paise and other minor units, or in rupees and other major units."""

    MINOR = "minor"
    MAJOR = "major"


class RowKind(StrEnum):
    """The kind of the lines of an export."""

    PAYMENTS = "payments"
    REFUNDS = "refunds"
    DISPUTES = "disputes"
    SETTLEMENTS = "settlements"
    CREDIT_NOTES = "credit_notes"


class By(StrEnum):
    """The time of a line that decides whether it is in the period."""

    CREATED = "created"
    PAID = "paid"
    SETTLED = "settled"


class Money(NamedTuple):
    """An amount in minor units."""

    amount: int
    currency: str


Value = str | int | bool | datetime | date | Money | Mapping[str, Any] | None
Line = Sequence[Value]
Lines = Iterable[Line]


def in_major_units(money: Money) -> str:
    """Return the decimal number that an amount is in rupees or other major units: 50000 INR is `500.00`."""
    places = exponent(money.currency)
    digits = f"{abs(money.amount):0{places + 1}}"
    whole = len(digits) - places
    sign = "-" if money.amount < 0 else ""
    return f"{sign}{digits[:whole]}.{digits[whole:]}" if places else f"{sign}{digits}"


def write_time(at: datetime) -> str:
    """Return a time in UTC as in RFC 3339."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
