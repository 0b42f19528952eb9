"""Findings that are not repaired are counted by an index."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.reconciliation_findings.create_index(
        [("repairedAt", ASCENDING), ("kind", ASCENDING)], name="open_by_kind"
    )


def down(db: Database[dict[str, Any]]) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if "open_by_kind" in db.reconciliation_findings.index_information():
        db.reconciliation_findings.drop_index("open_by_kind")
