"""Exports: credit notes by the time of their refund. Receipts have no entry."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.papers.create_index(
        [("kind", ASCENDING), ("at", ASCENDING), ("_id", ASCENDING)],
        name="notes_made",
        partialFilterExpression={"kind": "credit_note"},
    )


def down(db: Database[dict[str, Any]]) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if "notes_made" in db.papers.index_information():
        db.papers.drop_index("notes_made")
