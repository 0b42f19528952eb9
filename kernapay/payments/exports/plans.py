"""The plan of an export, made from a checked request."""

from datetime import datetime
from typing import Any, NamedTuple

from kernapay.payments.exports.values import By, FileFormat, RowKind, Unit


class Plan(NamedTuple):
    """The period, whose end is exclusive, and the rest as a client names it."""

    start: datetime
    end: datetime
    form: FileFormat
    unit: Unit
    bom: bool
    rows: RowKind | None
    by: By | None
    totals: bool

    def as_audited(self) -> dict[str, Any]:
        """Return the period, and what else is not as by default."""
        others = {
            "format": None if self.form is FileFormat.CSV else self.form.value,
            "unit": None if self.unit is Unit.MINOR else self.unit.value,
            "rows": self.rows and self.rows.value,
            "by": self.by and self.by.value,
            "totals": self.totals or None,
        }
        chosen = {name: value for name, value in others.items() if value is not None}
        return {"from": self.start.isoformat(), "to": self.end.isoformat(), **chosen}
