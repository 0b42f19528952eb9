"""Users: one account per e-mail address."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.users.create_index([("email", ASCENDING)], name="email", unique=True)
    db.users.create_index([("type", ASCENDING), ("createdAt", DESCENDING)], name="type_newest")


def down(db: Database[dict[str, Any]]) -> None:
    db.users.drop_index("type_newest")
    db.users.drop_index("email")
