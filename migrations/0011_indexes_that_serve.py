"""Indexes that queries can use, and that hold all that a query asks for.

MongoDB 6.0 does not use an index whose filter is `{"$type": "string"}` for `{"orderId": "order_…"}`. With
`{"$gt": ""}`, which is true of the same texts but the empty one, it does. Other indexes get the fields that their
queries sort or filter by as well, so that these neither sort in memory nor read rows that they do not return.

The new indexes of a collection are made in one pass over its rows, and the old ones go after that: a service that runs
meanwhile is never without.
"""

from typing import Any, NamedTuple

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure

_INDEX_NOT_FOUND = 27
_NEWEST = ("createdAt", DESCENDING)
_NEWEST_ROW = (_NEWEST, ("_id", DESCENDING))
_TEXT = {"$gt": ""}
_OLD_TEXT = {"$type": "string"}


class _Index(NamedTuple):
    name: str
    keys: list[str | tuple[str, int]]
    where: dict[str, Any] | None = None
    is_unique: bool = False


_NEW = {
    "audit_log": [
        _Index("by_actor", ["actor", *_NEWEST_ROW, "action", "target"]),
        _Index("by_action", ["action", *_NEWEST_ROW, "actor", "target"]),
        _Index("by_target", ["target", *_NEWEST_ROW, "actor", "action"]),
    ],
    "payments": [
        _Index("order_id", ["orderId"], {"orderId": _TEXT}, is_unique=True),
        _Index("gateway_order", ["razorpayOrderId"], {"razorpayOrderId": _TEXT}, is_unique=True),
        _Index("gateway_payment", ["razorpayPaymentId"], {"razorpayPaymentId": _TEXT}),
        _Index(
            "idempotency_key",
            ["userId", "idempotencyKey"],
            {"idempotencyKey": _TEXT},
            is_unique=True,
        ),
        _Index(
            "paid_to_newest",
            ["providerId", _NEWEST, ("referenceId", DESCENDING), "status"],
            {"providerId": _TEXT},
        ),
    ],
    "reconciliation_reports": [
        _Index("one_a_night", ["night"], {"night": _TEXT}, is_unique=True),
    ],
    "sessions": [_Index("user_newest", ["userId", _NEWEST, "expiresAt"])],
    "users": [
        _Index("role_newest", ["type", *_NEWEST_ROW, "status"]),
        _Index("status_newest", ["status", *_NEWEST_ROW]),
    ],
    "webhook_events": [
        _Index("status_newest", ["status", _NEWEST, "event"]),
        _Index("event_newest", ["event", _NEWEST, "status"]),
    ],
}
_OLD = {
    "audit_log": [
        _Index("actor_newest", ["actor", *_NEWEST_ROW]),
        _Index("action_newest", ["action", *_NEWEST_ROW]),
        _Index("target_newest", ["target", *_NEWEST_ROW]),
    ],
    "payments": [
        _Index("order", ["orderId"], {"orderId": _OLD_TEXT}, is_unique=True),
        _Index(
            "razorpay_order", ["razorpayOrderId"], {"razorpayOrderId": _OLD_TEXT}, is_unique=True
        ),
        _Index("razorpay_payment", ["razorpayPaymentId"], {"razorpayPaymentId": _OLD_TEXT}),
        _Index(
            "user_key", ["userId", "idempotencyKey"], {"idempotencyKey": _OLD_TEXT}, is_unique=True
        ),
        _Index(
            "provider_newest",
            ["providerId", _NEWEST, ("referenceId", DESCENDING)],
            {"providerId": _OLD_TEXT},
        ),
        _Index("status_oldest", ["status", "createdAt"]),
    ],
    "reconciliation_reports": [
        _Index("night", ["night"], {"night": _OLD_TEXT}, is_unique=True),
    ],
    "sessions": [_Index("user", ["userId"])],
    "users": [_Index("type_newest", ["type", _NEWEST])],
    "webhook_events": [],
}


def up(db: Database[dict[str, Any]]) -> None:
    for collection in _NEW:
        _replace(db, collection, _OLD[collection], _NEW[collection])


def down(db: Database[dict[str, Any]]) -> None:
    for collection in reversed(_NEW):
        _replace(db, collection, _NEW[collection], _OLD[collection])


def _replace(
    db: Database[dict[str, Any]], collection: str, old: list[_Index], new: list[_Index]
) -> None:
    rows = db[collection]
    if new:
        is_sharded = bool(db.command("collStats", collection).get("sharded"))
        rows.create_indexes([_model(index, is_sharded) for index in new])
    for index in old:
        try:
            rows.drop_index(index.name)
        except OperationFailure as error:
            # A run that was killed after this step is repeated from its beginning.
            if error.code != _INDEX_NOT_FOUND:
                raise


def _model(index: _Index, is_sharded: bool) -> IndexModel:
    options: dict[str, Any] = {"partialFilterExpression": index.where} if index.where else {}
    # A unique index of a sharded collection begins with its shard key. README says why these may do without.
    if index.is_unique and not (is_sharded and index.keys[0] != "userId"):
        options["unique"] = True
    keys = [key if isinstance(key, tuple) else (key, ASCENDING) for key in index.keys]
    return IndexModel(keys, name=index.name, **options)
