"""The indexes of payments that wait for a check also hold their payer, because payers take turns, and their age.

The new one first: a worker that runs meanwhile always has one of them.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [
            ("status", ASCENDING),
            ("checkAt", ASCENDING),
            ("userId", ASCENDING),
            ("createdAt", ASCENDING),
        ],
        name="waiting_by_payer",
    )
    _drop(db, "waiting")
    db.payments.create_index(
        [("refunds.status", ASCENDING), ("checkAt", ASCENDING), ("userId", ASCENDING)],
        name="open_refunds_by_payer",
        partialFilterExpression={"refunds.status": {"$exists": True}},
    )
    _drop(db, "open_refunds")


def down(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [("refunds.status", ASCENDING), ("checkAt", ASCENDING)],
        name="open_refunds",
        partialFilterExpression={"refunds.status": {"$exists": True}},
    )
    _drop(db, "open_refunds_by_payer")
    db.payments.create_index([("status", ASCENDING), ("checkAt", ASCENDING)], name="waiting")
    _drop(db, "waiting_by_payer")


def _drop(db: Database[dict[str, Any]], name: str) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if name in db.payments.index_information():
        db.payments.drop_index(name)
