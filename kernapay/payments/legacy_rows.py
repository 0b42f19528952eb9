"""Read payment rows that another system or a person wrote. No other module knows their forms.

The form of the Express service: `userId` as text, a text as `notes`, steps with an `_id` and without a source, amounts
as doubles, "Payment Not Done" as the method. What nobody can interpret is refused by the name of its field.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId

from kernapay.payments.states import RefundStatus, Source, Status
from kernapay.storage.fields import TextId
from kernapay.storage.unreadable import Misfit, report_unreadable

Row = dict[str, Any]

_NO_METHODS: Final = ("Payment Not Done", "razorpay", "")
DEFAULT_CURRENCY: Final = "INR"
_LISTS: Final = ("history", "refunds", "mismatches", "surplusOrders")


def in_shape(row: Row) -> Row:
    """Return a stored row in the shape that the document reads. Raises Misfit."""
    if not isinstance(row.get("_id"), ObjectId):
        raise Misfit("_id: not an ObjectId")
    for name in _LISTS:
        if not isinstance(row.get(name, []), list):
            raise Misfit(f"{name}: not a list")
    shaped = repair(row)
    _require_money(shaped)
    user_id = row.get("userId")
    if isinstance(user_id, str):
        shaped["userId"] = TextId(user_id)
    elif not isinstance(user_id, ObjectId | None):
        # Conditions name it, and nobody guesses whose payment it is.
        raise Misfit("userId: not an id")
    return shaped


def repair(row: Row) -> Row:
    """Return some columns of a row, with the values of earlier systems in today's form.

    Values that stay wrong are refused when the columns are decoded.
    """
    repaired = {**row}
    for name, repair_value in _REPAIRS.items():
        if name in repaired:
            repaired[name] = repair_value(repaired[name])
    _repair_times(repaired)
    notes = row.get("notes")
    if isinstance(notes, str) and not repaired.get("description"):
        repaired["description"] = notes or None
    at = repaired.get("createdAt")
    for name, repair_entry in (("history", _repair_step), ("refunds", _repair_entry)):
        if isinstance(row.get(name), list):
            repaired[name] = [repair_entry(entry, at) for entry in row[name]]
    for name, default in (("serviceType", ""), ("currency", DEFAULT_CURRENCY), ("userId", "")):
        # A document has no payer rather than an empty one.
        if not repaired.get(name) and not (
            name == "userId" and isinstance(row.get("_id"), ObjectId)
        ):
            repaired[name] = default
    return repaired


def _repair_times(row: Row) -> None:
    row_id = row.get("_id")
    created_at = _time(row.get("createdAt"))
    if created_at is None and row_id is not None and ObjectId.is_valid(row_id):
        created_at = ObjectId(row_id).generation_time
    if created_at is not None:
        row["createdAt"] = created_at
    updated_at = _time(row.get("updatedAt")) or created_at
    if updated_at is not None:
        row["updatedAt"] = updated_at


def _repair_entry(entry: Any, created_at: datetime | None) -> Any:
    """Return a step of the history or a refund with a time and a whole amount."""
    if not isinstance(entry, Mapping):
        return entry
    at = _time(entry.get("updatedAt")) or created_at
    repaired = {**entry, "updatedAt": at}
    if "amount" in entry:
        repaired["amount"] = _whole(entry["amount"])
        repaired["createdAt"] = _time(entry.get("createdAt")) or at
    return repaired


def _repair_step(entry: Any, created_at: datetime | None) -> Any:
    """Return a step of the history without a source that only a later version knows, which may run beside this one."""
    repaired = _repair_entry(entry, created_at)
    if repaired is not entry and repaired.get("source") not in _SOURCES:
        repaired["source"] = None
    return repaired


def read_sum(value: Any) -> int:
    """Return a sum of amounts, which is a double if some of them are. Raises UnreadableRow if it is not whole."""
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise report_unreadable("payments", {}, "an amount is not an integer")


def _require_money(row: Row) -> None:
    """Raise Misfit unless amounts and statuses are certain: they are never guessed."""
    for name in ("amount", "amountRefunded"):
        if not _is_integer(row.get(name, 0 if name == "amountRefunded" else None)):
            raise Misfit(f"{name}: not an integer")
    if row.get("status") not in _STATUSES:
        raise Misfit("status: unknown")
    for entry in row.get("refunds", []):
        if not isinstance(entry, Mapping) or not _is_integer(entry.get("amount")):
            raise Misfit("refunds: not an integer amount")
    for step in row.get("history", []):
        if not isinstance(step, Mapping) or step.get("status") not in _STATUSES:
            raise Misfit("history: unknown status")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            return None
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return None


def _method(value: Any) -> Any:
    return None if value in _NO_METHODS else value


def _notes(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): str(note) for name, note in value.items() if note is not None}


_STATUSES: Final = frozenset(status.value for status in Status)
_SOURCES: Final = frozenset(source.value for source in Source)
_REFUND_STATUSES: Final = frozenset(status.value for status in RefundStatus)
_REPAIRS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "amount": _whole,
    "amountRefunded": lambda value: _whole(value) or 0,
    "fee": _whole,
    "tax": _whole,
    "notes": _notes,
    "metadata": lambda value: value if isinstance(value, Mapping) else {},
    "paymentMethod": _method,
    "refundStatus": lambda value: (
        value if value in _REFUND_STATUSES else RefundStatus.NOT_REQUESTED.value
    ),
    "livemode": lambda value: value if isinstance(value, bool) else None,
    # Not of another system: they know no customers.
    "customerId": lambda value: value if isinstance(value, ObjectId) else None,
    "checks": lambda value: int(value) if isinstance(value, int | float) else 0,
    "checkAt": _time,
}
