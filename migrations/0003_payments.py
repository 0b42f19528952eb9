"""Payments: the unique indexes are what keeps one sale one payment.

Partial where a row lives a while without the field: a sparse compound index would still collide on a missing one.
"""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

_TEXT = {"$type": "string"}


def up(db: Database[dict[str, Any]]) -> None:
    payments = db.payments
    payments.create_index([("referenceId", ASCENDING)], name="reference", unique=True)
    payments.create_index(
        [("orderId", ASCENDING)],
        name="order",
        unique=True,
        partialFilterExpression={"orderId": _TEXT},
    )
    payments.create_index(
        [("razorpayOrderId", ASCENDING)],
        name="razorpay_order",
        unique=True,
        partialFilterExpression={"razorpayOrderId": _TEXT},
    )
    payments.create_index(
        [("userId", ASCENDING), ("idempotencyKey", ASCENDING)],
        name="user_key",
        unique=True,
        partialFilterExpression={"idempotencyKey": _TEXT},
    )
    payments.create_index(
        [("userId", ASCENDING), ("createdAt", DESCENDING), ("referenceId", DESCENDING)],
        name="user_newest",
    )
    payments.create_index(
        [("providerId", ASCENDING), ("createdAt", DESCENDING), ("referenceId", DESCENDING)],
        name="provider_newest",
        partialFilterExpression={"providerId": _TEXT},
    )
    payments.create_index([("status", ASCENDING), ("createdAt", ASCENDING)], name="status_oldest")
    payments.create_index(
        [("razorpayPaymentId", ASCENDING)],
        name="razorpay_payment",
        partialFilterExpression={"razorpayPaymentId": _TEXT},
    )


def down(db: Database[dict[str, Any]]) -> None:
    for name in (
        "razorpay_payment",
        "status_oldest",
        "provider_newest",
        "user_newest",
        "user_key",
        "razorpay_order",
        "order",
        "reference",
    ):
        db.payments.drop_index(name)
