"""Payments that were imported: they are found by the references that they had in the earlier service."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [("former.reference", ASCENDING)],
        name="former_reference",
        partialFilterExpression={"former.reference": {"$gt": ""}},
    )


def down(db: Database[dict[str, Any]]) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if "former_reference" in db.payments.index_information():
        db.payments.drop_index("former_reference")
