"""Reconciliation: payments and refunds without an end, reports, and what they found."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [("refunds.status", ASCENDING), ("checkAt", ASCENDING)],
        name="open_refunds",
        partialFilterExpression={"refunds.status": {"$exists": True}},
    )
    db.payments.create_index([("status", ASCENDING), ("checkAt", ASCENDING)], name="waiting")
    db.payments.update_many({"checkAt": None}, [{"$set": {"checkAt": "$createdAt"}}])
    reports = db.reconciliation_reports
    reports.create_index([("createdAt", DESCENDING)], name="newest")
    reports.create_index([("state", ASCENDING), ("leaseUntil", ASCENDING)], name="due")
    reports.create_index(
        [("night", ASCENDING)],
        name="night",
        unique=True,
        partialFilterExpression={"night": {"$type": "string"}},
    )
    db.reconciliation_findings.create_index(
        [("reportId", ASCENDING), ("_id", ASCENDING)], name="report"
    )


def down(db: Database[dict[str, Any]]) -> None:
    db.reconciliation_findings.drop_index("report")
    for name in ("night", "due", "newest"):
        db.reconciliation_reports.drop_index(name)
    db.payments.drop_index("waiting")
    db.payments.drop_index("open_refunds")
