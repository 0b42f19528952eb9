"""Find the rows that the sandbox's own calls name."""

from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.store import RowT, Table


def require_row(table: Table[RowT], row_id: str) -> RowT:
    """Return the row. Raise ControlError (404) if it does not exist."""
    row = table.get(row_id)
    if row is None:
        raise ControlError(
            f"There is no {table.kind} {row_id[:100]!r}. GET /_sandbox/snapshot lists all rows.",
            404,
        )
    return row
