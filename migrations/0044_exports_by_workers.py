"""Exports that workers make: the queue, the list, and when they are deleted."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    exports = db.exports
    exports.create_index([("createdAt", DESCENDING)], name="newest")
    exports.create_index([("state", ASCENDING), ("leaseUntil", ASCENDING)], name="due")
    exports.create_index([("expiresAt", ASCENDING)], name="kept", expireAfterSeconds=0)


def down(db: Database[dict[str, Any]]) -> None:
    db.drop_collection("exports")
