"""The inbox: an event once by id and once by body, kept 45 days."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_KEPT_SECONDS = 45 * 24 * 3600


def up(db: Database[dict[str, Any]]) -> None:
    events = db.webhook_events
    events.create_index([("eventId", ASCENDING)], name="event", unique=True)
    events.create_index([("bodyHash", ASCENDING)], name="body", unique=True)
    events.create_index([("status", ASCENDING), ("nextAt", ASCENDING)], name="due")
    events.create_index([("createdAt", ASCENDING)], name="kept", expireAfterSeconds=_KEPT_SECONDS)


def down(db: Database[dict[str, Any]]) -> None:
    for name in ("kept", "due", "body", "event"):
        db.webhook_events.drop_index(name)
