"""The request for an export."""

from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.patterns import PRINTABLE
from kernapay.payments.exports.values import By, FileFormat, RowKind, Unit

DayOrTime = Annotated[
    str, Meta(min_length=10, max_length=40, pattern=PRINTABLE, examples=["2026-01-01"])
]


class ExportRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """An export: its period, in days of the business or times with a zone, its rows and its form.

    `from` is inclusive, `to` is not. With the `unit` `major`, amounts are in rupees instead of paise, with all decimals
    of their currency. `bom` is for CSV: with this mark at its beginning, Excel shows the letters of all scripts.
    Without `rows`, the lines are payments, without the column `net`. `by` says which time of a line counts. Without it,
    that is when it was created, and of settlements when they were settled. With `totals`, what the lines add up to
    stands below them, by currency and status or, of settlements, type; in a workbook on a sheet of its own.
    """

    start: DayOrTime = field(name="from")
    end: DayOrTime = field(name="to")
    form: Annotated[FileFormat, Meta(examples=["csv"])] = field(
        name="format", default=FileFormat.CSV
    )
    unit: Annotated[Unit, Meta(examples=["minor"])] = Unit.MINOR
    bom: Annotated[bool, Meta(examples=[False])] = False
    rows: Annotated[RowKind | None, Meta(examples=["refunds"])] = None
    by: Annotated[By | None, Meta(examples=["settled"])] = None
    totals: Annotated[bool, Meta(examples=[True])] = False
