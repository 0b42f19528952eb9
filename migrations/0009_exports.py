"""Exports: payments by the time they were created, whatever their state."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index([("createdAt", ASCENDING), ("referenceId", ASCENDING)], name="oldest")


def down(db: Database[dict[str, Any]]) -> None:
    db.payments.drop_index("oldest")
