"""Events, deliveries and endpoints, and the markers by which the relay finds what changed.

The rows that are there stay as they are: what happened to them before `eventsSince` makes no events.
"""

from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

_MARKED = ("payments", "settlements", "reconciliation_reports")
_EPOCH = datetime.fromtimestamp(0, UTC)


def up(db: Database[dict[str, Any]]) -> None:
    events = db.events
    # With equality on the type, or all types as a list: their branches are merged in order.
    events.create_index(
        [("type", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)], name="type_newest"
    )
    events.create_index(
        [
            ("shopId", ASCENDING),
            ("type", ASCENDING),
            ("at", DESCENDING),
            ("_id", DESCENDING),
        ],
        name="shop_type_newest",
    )
    events.create_index(
        [
            ("subject", ASCENDING),
            ("type", ASCENDING),
            ("at", DESCENDING),
            ("_id", DESCENDING),
        ],
        name="subject_type_newest",
    )
    events.create_index([("expiresAt", ASCENDING)], name="kept", expireAfterSeconds=0)
    deliveries = db.deliveries
    deliveries.create_index(
        [("endpoint", ASCENDING), ("nextAt", ASCENDING), ("seq", ASCENDING)],
        name="due",
        partialFilterExpression={"state": "pending"},
    )
    deliveries.create_index(
        [
            ("endpoint", ASCENDING),
            ("state", ASCENDING),
            ("createdAt", DESCENDING),
            ("_id", DESCENDING),
        ],
        name="endpoint_newest",
    )
    deliveries.create_index([("expiresAt", ASCENDING)], name="kept", expireAfterSeconds=0)
    endpoints = db.endpoints
    endpoints.create_index(
        [("owner", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)], name="owner"
    )
    endpoints.create_index([("keeper", ASCENDING), ("state", ASCENDING)], name="keeper")
    endpoints.create_index([("state", ASCENDING), ("_id", ASCENDING)], name="state")
    endpoints.create_index(
        [("noticeAt", ASCENDING)],
        name="notices",
        partialFilterExpression={"noticeAt": {"$gt": _EPOCH}},
    )
    for name in _MARKED:
        # MongoDB 6.0: for a range, it uses no partial index on `$exists` or `$type`.
        db[name].create_index(
            [("announce", ASCENDING)],
            name="announce",
            partialFilterExpression={"announce": {"$gt": _EPOCH}},
        )
    db.relay.update_one(
        {"_id": "events"}, {"$setOnInsert": {"eventsSince": datetime.now(UTC)}}, upsert=True
    )


def down(db: Database[dict[str, Any]]) -> None:
    db.relay.delete_one({"_id": "events"})
    for name in _MARKED:
        db[name].drop_index("announce")
    for name in ("notices", "state", "keeper", "owner"):
        db.endpoints.drop_index(name)
    for name in ("kept", "endpoint_newest", "due"):
        db.deliveries.drop_index(name)
    for name in ("kept", "subject_type_newest", "shop_type_newest", "type_newest"):
        db.events.drop_index(name)
