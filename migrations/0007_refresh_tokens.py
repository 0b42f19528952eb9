"""Refresh tokens: the service before this one kept them readable; here only hashes are stored."""

from typing import Any

from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.users.update_many({"refreshToken": {"$exists": True}}, {"$unset": {"refreshToken": ""}})


def down(_: Database[dict[str, Any]]) -> None:
    """What was readable stays forgotten."""
