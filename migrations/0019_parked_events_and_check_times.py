"""Only events that were processed are deleted after 45 days, and kinds of events take turns by an index.

Payments that another system wrote get the time from which a worker checks them.

Each new index comes before the old one goes: a service that runs meanwhile is never without.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_KEPT_SECONDS = 45 * 24 * 3600
_IS_PROCESSED = {"processedAt": {"$exists": True}}


def up(db: Database[dict[str, Any]]) -> None:
    is_time = {"$eq": [{"$type": "$createdAt"}, "date"]}
    check_at = {"$cond": [is_time, "$createdAt", "$$NOW"]}
    db.payments.update_many({"checkAt": None}, [{"$set": {"checkAt": check_at}}])
    events = db.webhook_events
    events.update_many({"status": "parked"}, {"$unset": {"processedAt": ""}})
    events.create_index(
        [("createdAt", ASCENDING)],
        name="kept_when_processed",
        expireAfterSeconds=_KEPT_SECONDS,
        partialFilterExpression=_IS_PROCESSED,
    )
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
    _drop(db, "kept_when_processed")


def _drop(db: Database[dict[str, Any]], name: str) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if name in db.webhook_events.index_information():
        db.webhook_events.drop_index(name)
