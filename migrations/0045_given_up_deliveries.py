"""Deliveries that were given up, of all endpoints: they are counted for administrators. The index has few rows."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.deliveries.create_index(
        [("state", ASCENDING)], name="given_up", partialFilterExpression={"state": "failed"}
    )


def down(db: Database[dict[str, Any]]) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if "given_up" in db.deliveries.index_information():
        db.deliveries.drop_index("given_up")
