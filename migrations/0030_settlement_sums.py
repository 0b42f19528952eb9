"""The sums of settlement rows, by settlement, type and quarter of an hour: a ledger reads these instead of the rows.

Rows that an older version stores while both run are added up when their day of the feed is read the next time, which is
done for a month.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

# As the service cuts time.
_QUARTER_MS = 15 * 60 * 1000
_MONEY = ("credit", "debit", "fee", "tax")


def up(db: Database[dict[str, Any]]) -> None:
    sums = db.settlement_sums
    sums.create_index(
        [("settlementId", ASCENDING), ("type", ASCENDING), ("quarter", ASCENDING)],
        name="group",
        unique=True,
    )
    sums.create_index([("quarter", ASCENDING)], name="quarter")
    for settlement in db.settlements.find({}, {"settlementId": 1, "updatedAt": 1}):
        _add_up(db, settlement)


def down(db: Database[dict[str, Any]]) -> None:
    """Drop the indexes and the sums, which the next `up` makes of the rows again."""
    sums = db.settlement_sums
    sums.delete_many({})
    for name in ("quarter", "group"):
        sums.drop_index(name)


def _add_up(db: Database[dict[str, Any]], settlement: dict[str, Any]) -> None:
    """Store the sums of a settlement, in place of those that an interrupted run stored."""
    settlement_id, at = settlement["settlementId"], settlement["updatedAt"]
    ms = {"$toLong": "$enteredAt"}
    quarter = {"$toDate": {"$subtract": [ms, {"$mod": [ms, _QUARTER_MS]}]}}
    totals: dict[str, Any] = {name: {"$sum": f"${name}"} for name in _MONEY}
    totals["rows"] = {"$sum": 1}
    totals["flaws"] = {"$sum": {"$cond": [{"$ifNull": ["$flaw", False]}, 1, 0]}}
    totals["contradictions"] = {"$sum": {"$size": {"$ifNull": ["$contradictions", []]}}}
    key = {"type": "$type", "quarter": quarter}
    pipeline = [{"$match": {"settlementId": settlement_id}}, {"$group": {"_id": key, **totals}}]
    sums = []
    for found in db.settlement_rows.aggregate(pipeline):
        names = found.pop("_id")
        group = {"settlementId": settlement_id, "type": names["type"]}
        times = {"quarter": names.get("quarter"), "createdAt": at, "updatedAt": at}
        sums.append({**group, **times, **found})
    db.settlement_sums.delete_many({"settlementId": settlement_id})
    if sums:
        db.settlement_sums.insert_many(sums, ordered=False)
