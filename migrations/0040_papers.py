"""Papers: receipts and credit notes with their numbers.

`number` decides who has a number of a series, and finds its last one. Payments that were paid before get theirs when
somebody asks for the receipt, or when they change.
"""

from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

_EPOCH = datetime.fromtimestamp(0, UTC)


def up(db: Database[dict[str, Any]]) -> None:
    db.papers.create_indexes(
        [
            IndexModel([("series", ASCENDING), ("number", DESCENDING)], name="number", unique=True),
            IndexModel([("code", ASCENDING)], name="code", unique=True),
            IndexModel([("paymentId", ASCENDING)], name="payment"),
            IndexModel(
                [("mailAt", ASCENDING)],
                name="mail",
                partialFilterExpression={"mailAt": {"$gt": _EPOCH}},
            ),
        ]
    )


def down(db: Database[dict[str, Any]]) -> None:
    """Keep the rows: their numbers are on papers that people have. Without indexes nobody gives another."""
    for name in ("number", "code", "payment", "mail"):
        if name in db.papers.index_information():
            db.papers.drop_index(name)
