"""Settlements, their rows, the days that were read, and the payments that wait for theirs."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    settlements = db.settlements
    settlements.create_index([("settlementId", ASCENDING)], name="settlement", unique=True)
    settlements.create_index(
        [("settledAt", DESCENDING), ("settlementId", DESCENDING)], name="newest"
    )
    settlements.create_index(
        [("hasProblem", ASCENDING), ("settledAt", DESCENDING), ("settlementId", DESCENDING)],
        name="problems_newest",
    )
    rows = db.settlement_rows
    rows.create_index(
        [("settlementId", ASCENDING), ("entityId", ASCENDING), ("type", ASCENDING)],
        name="row",
        unique=True,
    )
    rows.create_index([("entityId", ASCENDING)], name="entity")
    rows.create_index([("enteredAt", ASCENDING)], name="entered")
    days = db.settlement_days
    days.create_index([("day", ASCENDING)], name="day", unique=True)
    days.create_index([("isOpen", ASCENDING), ("dueAt", ASCENDING)], name="due")
    # Equality, then order, then nothing: the payments of each status that wait, by the time they were paid.
    db.payments.create_index(
        [
            ("status", ASCENDING),
            ("settledAt", ASCENDING),
            ("paidAt", ASCENDING),
            ("referenceId", ASCENDING),
        ],
        name="unsettled",
    )


def down(db: Database[dict[str, Any]]) -> None:
    db.payments.drop_index("unsettled")
    for name in ("due", "day"):
        db.settlement_days.drop_index(name)
    for name in ("entered", "entity", "row"):
        db.settlement_rows.drop_index(name)
    for name in ("problems_newest", "newest", "settlement"):
        db.settlements.drop_index(name)
