"""One-time codes go when their day is over; the outbox is found by what is due and kept 30 days."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_KEPT_SECONDS = 30 * 24 * 3600


def up(db: Database[dict[str, Any]]) -> None:
    # A code's row carries its waits and its number a day, so it stays until that day ends.
    db.codes.create_index([("dayEnds", ASCENDING)], name="kept", expireAfterSeconds=0)
    db.messages.create_index(
        [("nextAt", ASCENDING)], name="due", partialFilterExpression={"status": "pending"}
    )
    db.messages.create_index(
        [("createdAt", ASCENDING)], name="kept", expireAfterSeconds=_KEPT_SECONDS
    )


def down(db: Database[dict[str, Any]]) -> None:
    for name in ("kept", "due"):
        db.messages.drop_index(name)
    db.codes.drop_index("kept")
