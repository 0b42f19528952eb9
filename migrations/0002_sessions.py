"""Sessions: found by user, gone when they end."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.sessions.create_index([("userId", ASCENDING)], name="user")
    db.sessions.create_index([("expiresAt", ASCENDING)], name="expiry", expireAfterSeconds=0)


def down(db: Database[dict[str, Any]]) -> None:
    db.sessions.drop_index("expiry")
    db.sessions.drop_index("user")
