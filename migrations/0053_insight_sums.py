"""Insights: stored sums of payments by hour and day. The worker adds them up afterwards, the latest first.

Nothing waits for that: what is not stored is added up when it is asked for.
"""

from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

_EPOCH = datetime.fromtimestamp(0, UTC)
# All that says whether sums are current stands in the index: the sums themselves are long.
_FOUND = ("zone", "scope", "by", "kind", "start", "end", "changes", "counted", "_id")
_CONTAINING = ("scope", "kind", "start", "end", "countedAt")
_INDEXES = {
    "insight_sums": [
        IndexModel([(name, ASCENDING) for name in _FOUND], name="found"),
        IndexModel([(name, ASCENDING) for name in _CONTAINING], name="containing"),
        # MongoDB 6.0: for a range, it uses no partial index on `$exists` or `$type`.
        IndexModel(
            [("dueAt", ASCENDING)],
            name="due",
            partialFilterExpression={"dueAt": {"$gt": _EPOCH}},
        ),
        IndexModel([("checkedAt", ASCENDING)], name="checked"),
    ],
    "insight_holds": [
        IndexModel([("at", ASCENDING)], name="at"),
        IndexModel([("createdAt", ASCENDING), ("paymentId", ASCENDING)], name="abandoned"),
    ],
}


def up(db: Database[dict[str, Any]]) -> None:
    for name, indexes in _INDEXES.items():
        db[name].create_indexes(indexes)


def down(db: Database[dict[str, Any]]) -> None:
    """Drop the sums, which the worker makes of the payments again."""
    for name in (*_INDEXES, "insight_progress"):
        db[name].drop()
