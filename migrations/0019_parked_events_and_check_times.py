"""Events are deleted 45 days after they were processed and not before, and kinds of events take turns by an index.

Payments that another system wrote get the time from which a worker checks them.

Each new index comes before the old one goes: a service that runs meanwhile is never without.
"""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

_KEPT_SECONDS = 45 * 24 * 3600


def up(db: Database[dict[str, Any]]) -> None:
    is_time = {"$eq": [{"$type": "$createdAt"}, "date"]}
    check_at = {"$cond": [is_time, "$createdAt", "$$NOW"]}
    db.payments.update_many({"checkAt": None}, [{"$set": {"checkAt": check_at}}])
    events = db.webhook_events
    events.update_many({"status": "parked"}, {"$unset": {"processedAt": ""}})
    # MongoDB never deletes a row without the field.
    events.create_index(
        [("processedAt", ASCENDING)],
        name="kept_after_processing",
        expireAfterSeconds=_KEPT_SECONDS,
    )
    events.create_index([("createdAt", DESCENDING)], name="newest")
    _drop(db, "kept")
    events.create_index(
        [("status", ASCENDING), ("nextAt", ASCENDING), ("event", ASCENDING)], name="due_by_kind"
    )
    _drop(db, "due")


def down(db: Database[dict[str, Any]]) -> None:
    events = db.webhook_events
    events.create_index([("status", ASCENDING), ("nextAt", ASCENDING)], name="due")
    _drop(db, "due_by_kind")
    events.create_index([("createdAt", ASCENDING)], name="kept", expireAfterSeconds=_KEPT_SECONDS)
    _drop(db, "newest")
    _drop(db, "kept_after_processing")


def _drop(db: Database[dict[str, Any]], name: str) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if name in db.webhook_events.index_information():
        db.webhook_events.drop_index(name)
