"""Administration: users by name and age, the audit log, API keys."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

_NEWEST = [("createdAt", DESCENDING), ("_id", DESCENDING)]


def up(db: Database[dict[str, Any]]) -> None:
    db.users.create_index([("name", ASCENDING)], name="name")
    db.users.create_index(_NEWEST, name="newest")
    db.audit_log.create_index(_NEWEST, name="newest")
    db.audit_log.create_index([("actor", ASCENDING), *_NEWEST], name="actor_newest")
    db.audit_log.create_index([("target", ASCENDING), *_NEWEST], name="target_newest")
    db.audit_log.create_index([("action", ASCENDING), *_NEWEST], name="action_newest")
    db.api_keys.create_index([("digest", ASCENDING)], name="digest", unique=True)
    db.api_keys.create_index(_NEWEST, name="newest")


def down(db: Database[dict[str, Any]]) -> None:
    for name in ("newest", "digest"):
        db.api_keys.drop_index(name)
    for name in ("action_newest", "target_newest", "actor_newest", "newest"):
        db.audit_log.drop_index(name)
    for name in ("newest", "name"):
        db.users.drop_index(name)
