"""Reconciliation: paid payments by their last change, findings by kind, and rebuilt payments by the hash of their key.

And what administrators look payments up by: refunds, surplus orders, second payments, settlements.

The new index of findings is made before the old one goes: a service that runs meanwhile is never without.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

# Few payments have one of the first four.
_SEARCHED = {
    "refund": "refunds.refundId",
    "surplus_order": "surplusOrders",
    "mismatch": "mismatches.paymentId",
    "surplus_payment": "surplusPayments.paymentId",
    "settlement": "settlements.settlementId",
    "settlement_utr": "settlements.utr",
}


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [("status", ASCENDING), ("updatedAt", ASCENDING)], name="status_changed"
    )
    db.payments.create_index(
        [("userId", ASCENDING), ("keyHash", ASCENDING)],
        name="key_hash",
        partialFilterExpression={"keyHash": {"$gt": ""}},
    )
    for name, field in _SEARCHED.items():
        db.payments.create_index(
            [(field, ASCENDING)], name=name, partialFilterExpression={field: {"$exists": True}}
        )
    db.reconciliation_findings.create_index(
        [("reportId", ASCENDING), ("kind", ASCENDING), ("_id", ASCENDING)], name="report_kinds"
    )
    _drop(db, "reconciliation_findings", "report")


def down(db: Database[dict[str, Any]]) -> None:
    db.reconciliation_findings.create_index(
        [("reportId", ASCENDING), ("_id", ASCENDING)], name="report"
    )
    _drop(db, "reconciliation_findings", "report_kinds")
    for name in (*_SEARCHED, "key_hash", "status_changed"):
        _drop(db, "payments", name)


def _drop(db: Database[dict[str, Any]], collection: str, name: str) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if name in db[collection].index_information():
        db[collection].drop_index(name)
