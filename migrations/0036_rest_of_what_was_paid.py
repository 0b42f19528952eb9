"""Payments that 0015 left out: those with ids of the service, where another system had written ids of other types.

0015 asks for the ids after the last one of a batch, and MongoDB compares values of one type only.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_BATCH = 1000
# As in 0015.
_EXPIRY = timedelta(days=7)
_NO_MONEY_COMES = _EXPIRY + timedelta(days=7)
_LEFT_OUT = {"payableUntil": {"$exists": False}, "createdAt": {"$type": "date"}}


def up(db: Database[dict[str, Any]]) -> None:
    at = datetime.now(UTC)
    for ids in _batches_of_ids(db):
        for where, change in _changes(at):
            db.payments.update_many({"_id": {"$in": ids}, **_LEFT_OUT, **where}, change)


def down(_: Database[dict[str, Any]]) -> None:
    """The fields stay, as with 0015."""


def _changes(at: datetime) -> list[tuple[dict[str, Any], list[Any]]]:
    until = {"$add": ["$createdAt", int(_EXPIRY.total_seconds() * 1000)]}
    paid = {"status": {"$in": ["success", "refunded"]}}
    unpaid = {"status": {"$nin": ["success", "refunded"]}}
    is_old = {"createdAt": {"$type": "date", "$lt": at - _NO_MONEY_COMES}}
    ended = {
        "status": "failed",
        "updatedAt": at,
        "source": "reconciliation",
        "event": "expired",
        "final": True,
    }
    history = {"$concatArrays": [{"$ifNull": ["$history", []]}, [{"$literal": ended}]]}
    paid_fields = {"amountPaid": {"$ifNull": ["$amountPaid", "$amount"]}, "final": True}
    # Unlike at the time of 0015, there is a relay, which has to tell of the step.
    old_fields = {"status": "failed", "final": True, "history": history, "announce": at}
    return [
        (paid, [{"$set": {**paid_fields, "payableUntil": until}}]),
        ({**unpaid, **is_old}, [{"$set": {**old_fields, "payableUntil": until}}]),
        (unpaid, [{"$set": {"endsAt": until, "endChecks": 0, "payableUntil": until}}]),
    ]


def _batches_of_ids(db: Database[dict[str, Any]]) -> Iterator[list[Any]]:
    # One cursor, whatever the types of the ids are. It reads the index alone, and most rows need nothing.
    ids: list[Any] = []
    for row in db.payments.find({}, {"_id": 1}, sort=[("_id", ASCENDING)], batch_size=_BATCH):
        ids.append(row["_id"])
        if len(ids) == _BATCH:
            yield ids
            ids = []
    if ids:
        yield ids
