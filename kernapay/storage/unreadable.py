"""Rows that cannot be read: they are counted and named in the log, and never hide the rows beside them."""

from typing import Any, Final

import structlog

from kernapay.core.errors import Conflict
from kernapay.core.metrics import Counter

_log = structlog.get_logger("kernapay.rows")
UNREADABLE: Final = Counter(
    "kernapay_unreadable_rows_total",
    "Stored rows that could not be read, and were left out or refused",
    ("collection",),
)
_NAMES: Final = ("_id", "referenceId", "eventId")


class Misfit(ValueError):
    """A field of a stored row has an unknown form. The message names the field, not its value."""


class UnreadableRow(Conflict):
    """The stored record does not have the form that KernaPay understands. An operator has to correct it."""

    code = "unreadable_row"
    title = "Unreadable record"

    def __init__(self, row_id: Any) -> None:
        super().__init__(
            "The stored record cannot be read. The operator finds it in the log as `row_unreadable`."
        )
        self.row_id = row_id


def report_unreadable(collection: str, row: dict[str, Any], reason: str) -> UnreadableRow:
    """Count and log a row that cannot be read, and return the error to raise for it.

    The log names the row and the reason, not what it contains.
    """
    UNREADABLE.labels(collection).inc()
    names = {name: str(row[name]) for name in _NAMES if name in row}
    _log.error("row_unreadable", collection=collection, row=names, reason=reason)
    return UnreadableRow(row.get("_id"))
