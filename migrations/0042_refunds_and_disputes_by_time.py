"""Exports: refunds and disputes by the time they were made. Payments without any have no entry."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_ITEMS = ("refunds", "disputes")


def up(db: Database[dict[str, Any]]) -> None:
    for items in _ITEMS:
        made = f"{items}.createdAt"
        db.payments.create_index(
            [(made, ASCENDING)],
            name=f"{items}_made",
            partialFilterExpression={made: {"$exists": True}},
        )


def down(db: Database[dict[str, Any]]) -> None:
    for items in _ITEMS:
        db.payments.drop_index(f"{items}_made")
