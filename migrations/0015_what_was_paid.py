"""What was paid beside what was ordered, and the end of each sale.

Of earlier payments, what was paid is what was ordered: nothing else was accepted. A paid one has ended. An unpaid one
ends by the worker, which asks the gateway first, or here if it is so old that no money of it can come any more: only
then is a step written without asking.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_BATCH = 1000
# The default of PAYMENT_EXPIRY. A sale with another one ends by this age once, at the upgrade.
_EXPIRY = timedelta(days=7)
# Razorpay: a bank may authorise a payment for some days more.
_NO_MONEY_COMES = _EXPIRY + timedelta(days=7)
_NEW = {"payableUntil": {"$exists": False}, "createdAt": {"$type": "date"}}


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [("endsAt", ASCENDING), ("userId", ASCENDING)],
        name="ends",
        partialFilterExpression={"endsAt": {"$exists": True}},
    )
    db.payments.create_index(
        [("surplusAt", ASCENDING), ("userId", ASCENDING)],
        name="surplus",
        partialFilterExpression={"surplusAt": {"$exists": True}},
    )
    at = datetime.now(UTC)
    until = {"$add": ["$createdAt", int(_EXPIRY.total_seconds() * 1000)]}
    last: Any = None
    # By batches of ids, so that a run that was killed goes on where it stopped, and no update takes minutes.
    while ids := _next_ids(db, last):
        for where, change in _changes(at, until):
            db.payments.update_many({"_id": {"$in": ids}, **_NEW, **where}, change)
        last = ids[-1]


def down(db: Database[dict[str, Any]]) -> None:
    """Drop the indexes. The fields stay: the version before does not read them."""
    db.payments.drop_index("surplus")
    db.payments.drop_index("ends")


def _changes(at: datetime, until: dict[str, Any]) -> list[tuple[dict[str, Any], list[Any]]]:
    paid = {"status": {"$in": ["success", "refunded"]}}
    unpaid = {"status": {"$nin": ["success", "refunded"]}}
    is_old = {"createdAt": {"$type": "date", "$lt": at - _NO_MONEY_COMES}}
    ended = {
        "status": "failed",
        "updatedAt": at,
        "source": "reconciliation",
        "event": "expired",
        "final": True,
    }
    history = {"$concatArrays": [{"$ifNull": ["$history", []]}, [{"$literal": ended}]]}
    paid_fields = {"amountPaid": {"$ifNull": ["$amountPaid", "$amount"]}, "final": True}
    old_fields = {"status": "failed", "final": True, "history": history}
    return [
        (paid, [{"$set": {**paid_fields, "payableUntil": until}}]),
        ({**unpaid, **is_old}, [{"$set": {**old_fields, "payableUntil": until}}]),
        (unpaid, [{"$set": {"endsAt": until, "endChecks": 0, "payableUntil": until}}]),
    ]


def _next_ids(db: Database[dict[str, Any]], last: Any) -> list[Any]:
    where = {} if last is None else {"_id": {"$gt": last}}
    rows = db.payments.find(where, {"_id": 1}, sort=[("_id", ASCENDING)], limit=_BATCH)
    return [row["_id"] for row in rows]
