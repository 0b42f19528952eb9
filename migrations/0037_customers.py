"""Customers of shops, and the payments for each of them.

A shop's own reference names one of its customers. The list of a customer's payments has in its index all that a filter
looks at and that totals add up, as 0038 has for the other lists; payments without a customer are in neither of the new
indexes.
"""

from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

_EPOCH = datetime.fromtimestamp(0, UTC)
_NEWEST = [("createdAt", DESCENDING), ("_id", DESCENDING)]
_FILTERED = [
    (name, ASCENDING)
    for name in (
        *("userId", "status", "paymentMethod", "serviceType", "providerId", "amount"),
        *("late", "disputed", "currency", "amountPaid", "amountRefunded"),
    )
]
_HAS_CUSTOMER = {"customerId": {"$exists": True}}
_OF_PAYMENTS = (
    IndexModel(
        [
            ("customerId", ASCENDING),
            ("createdAt", DESCENDING),
            ("referenceId", DESCENDING),
            *_FILTERED,
        ],
        name="customer_listed",
        partialFilterExpression=_HAS_CUSTOMER,
    ),
    IndexModel(
        [("customerId", ASCENDING), ("endsAt", ASCENDING)],
        name="customer_open",
        # `endsAt` goes when the sale has ended.
        partialFilterExpression={**_HAS_CUSTOMER, "endsAt": {"$gt": _EPOCH}},
    ),
)


def up(db: Database[dict[str, Any]]) -> None:
    customers = db.customers
    customers.create_index(
        [("shopId", ASCENDING), ("reference", ASCENDING)],
        name="shop_reference",
        unique=True,
        partialFilterExpression={"reference": {"$gt": ""}},
    )
    customers.create_index([("shopId", ASCENDING), *_NEWEST], name="shop_newest")
    customers.create_index(_NEWEST, name="newest")
    # In one pass over the rows.
    db.payments.create_indexes(list(_OF_PAYMENTS))


def down(db: Database[dict[str, Any]]) -> None:
    for name in ("customer_open", "customer_listed"):
        _drop(db.payments, name)
    for name in ("newest", "shop_newest", "shop_reference"):
        _drop(db.customers, name)


def _drop(collection: Any, name: str) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if name in collection.index_information():
        collection.drop_index(name)
