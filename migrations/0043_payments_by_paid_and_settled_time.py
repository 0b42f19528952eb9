"""Exports: payments by the time they were paid or settled, and refunds by the time they were settled.

Only payments that have such a time have an entry.
"""

from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

_NEW: Final = {
    "paid_oldest": (
        [("paidAt", ASCENDING), ("referenceId", ASCENDING)],
        {"paidAt": {"$exists": True}},
    ),
    "settled_oldest": (
        [("settledAt", ASCENDING), ("referenceId", ASCENDING)],
        {"settledAt": {"$exists": True}},
    ),
    "refunds_settled": (
        [("settlements.type", ASCENDING), ("settlements.settledAt", ASCENDING)],
        {"settlements.type": "refund"},
    ),
}


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_indexes(
        [
            IndexModel(keys, name=name, partialFilterExpression=having)
            for name, (keys, having) in _NEW.items()
        ]
    )


def down(db: Database[dict[str, Any]]) -> None:
    for name in _NEW:
        db.payments.drop_index(name)
