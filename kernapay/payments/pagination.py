"""The sort order of lists of payments, and the conditions for their pages."""

from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId
from bson.datetime_ms import DatetimeMS

from kernapay.storage.filters import OrderBy
from kernapay.storage.repository import Row

NEWEST_FIRST: Final = (
    OrderBy("created_at", descending=True),
    OrderBy("reference_id", descending=True),
)
_FIRST_TIME: Final = datetime(1000, 1, 1, tzinfo=UTC)
_LAST_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)


def of_payer(user_id: str) -> Row:
    """Return the conditions for the payments that a user created."""
    return {"userId": {"$in": forms_of(user_id)}}


def forms_of(user_id: str) -> list[Any]:
    """Return a user's id in each form that rows have it in: earlier systems stored it as text."""
    return [ObjectId(user_id), user_id]


def in_bounds(created_at: Any) -> Any:
    """Return a stored time. One outside of Python's range is replaced by the nearest that sorts the same."""
    if isinstance(created_at, DatetimeMS):
        return _LAST_TIME if int(created_at) > 0 else None
    return created_at


def older_than(created_at: Any, reference_id: str) -> Row:
    """Return the conditions for the rows that come after one with these sort keys, newest first."""
    is_next = {"referenceId": {"$lt": reference_id}}
    if isinstance(created_at, datetime):
        return {
            # One bound of the index. Unlike `$lte`, it includes the rows without a time.
            "createdAt": {"$not": {"$gt": created_at}},
            "$or": [{"createdAt": {"$ne": created_at}}, is_next],
        }
    # A row of another system, after all that have a time. A range, as `null` alone would be sorted in memory.
    without_time: Row = {"createdAt": {"$not": {"$gte": _FIRST_TIME}}}
    if created_at is None:
        return without_time | is_next
    # Unlike `$lt`, `$expr` compares values of all types, in the order of the index: texts, numbers, nothing.
    place = {"$literal": created_at}
    is_same = {"$eq": ["$createdAt", place]}
    is_next_of_same = {"$and": [is_same, {"$lt": ["$referenceId", reference_id]}]}
    return {**without_time, "$expr": {"$or": [{"$lt": ["$createdAt", place]}, is_next_of_same]}}
