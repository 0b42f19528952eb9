"""Payments for streams, and what happens to them, also without a signal."""

from datetime import UTC, datetime
from typing import Any

import httpx
from bson import ObjectId

from tests.actors import send_event
from tests.aliases import Json, Store
from tests.factories import failed_payment, gateway_payment


def new_row(store: Store, *, steps: int = 1, **changes: Any) -> Json:
    """Insert a pending payment; return its row."""
    at = datetime.now(UTC)
    user_id = ObjectId()
    row = {
        "_id": ObjectId(),
        "userId": user_id,
        "amount": 50_000,
        "currency": "INR",
        "status": "pending",
        "referenceId": f"PAY_{user_id}_1795989516122_{ObjectId()}",
        "serviceType": "CONSULTATION",
        "createdAt": at,
        "updatedAt": at,
        "history": [step(number) for number in range(steps)],
        **changes,
    }
    store.payments.insert_one(row)
    return row


def decline(client: httpx.Client, payment: Json) -> None:
    assert send_event(
        client, "payment.failed", payment=failed_payment(payment["orderId"])
    ).is_success


def capture(client: httpx.Client, payment: Json) -> None:
    body = gateway_payment(payment["orderId"])
    assert send_event(client, "payment.captured", payment=body).is_success


def step(number: int, status: str = "pending", **more: Any) -> Json:
    at = datetime.now(UTC)
    return {"status": status, "updatedAt": at, "source": "api", "event": f"step-{number}", **more}


def push(store: Store, row: Json, number: int, status: str = "pending", **sets: Any) -> None:
    """Let the history grow, as by a process whose signal is lost."""
    change = {"status": status, **sets}
    store.payments.update_one(
        {"_id": row["_id"]}, {"$push": {"history": step(number, status)}, "$set": change}
    )
