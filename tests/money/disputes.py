"""Disputes as the customer's bank raises them, and the events that tell of them in any order."""

import secrets
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from tests.actors import PAYMENTS, Actor, send_event
from tests.aliases import Json, json_of
from tests.factories import unique
from tests.money.shop import Shop

DISPUTES = "/v1/api/disputes"
FIRST = 1_800_000_000
"""The gateway's time of the first event of a test, in Unix seconds."""


def raise_dispute(shop: Shop, payment_id: str, **facts: Any) -> Json:
    """Let the bank raise a dispute about a captured payment; return it as the gateway shows it."""
    return shop.sandbox.call("POST", "/_sandbox/disputes", {"payment_id": payment_id, **facts})


def move(shop: Shop, dispute: Json, event: str, phase: str | None = None) -> Json:
    path = f"/_sandbox/disputes/{dispute['id']}/move"
    return shop.sandbox.call("POST", path, {"event": event, "phase": phase})


def resolve(shop: Shop, dispute: Json, status: str) -> Json:
    path = f"/_sandbox/disputes/{dispute['id']}/resolve"
    return shop.sandbox.call("POST", path, {"status": status})


def invented(payment_id: str, **changes: Any) -> Json:
    """Return a dispute that the gateway does not show when it is asked."""
    return {
        "id": f"disp_{secrets.token_hex(7)}",
        "entity": "dispute",
        "payment_id": payment_id,
        "amount": 50000,
        "currency": "INR",
        "amount_deducted": 0,
        "reason_code": "chargeback",
        "respond_by": FIRST + 259_200,
        "status": "open",
        "phase": "chargeback",
        "created_at": FIRST,
        **changes,
    }


def tell(
    api: httpx.Client, name: str, dispute: Mapping[str, Any], at: Any = FIRST, event_id: str = ""
) -> None:
    """Deliver a signed event, with the payment in the odd state that Razorpay's samples have."""
    payment = {
        "id": dispute["payment_id"],
        "amount": 50000,
        "currency": "INR",
        "status": "authorized",
        "captured": False,
        "order_id": "order_" + "x" * 14,
    }
    payload = {"payment": {"entity": payment}, "dispute": {"entity": dispute}}
    event = {"event": f"payment.dispute.{name}", "payload": payload, "created_at": at}
    body = msgspec.json.encode({**event, "unique": unique()})
    answer = send_event(api, body=body, event_id=event_id or None)
    assert answer.status_code == 200, answer.text


def stored(shop: Shop, payment: Json) -> list[Json]:
    """Return the disputes of a payment as they are stored."""
    found: list[Json] = shop.row(payment).get("disputes", [])
    return found


def seen(actor: Actor, dispute: Mapping[str, Any]) -> Json:
    answer = actor.call("GET", f"{DISPUTES}/{dispute['id']}")
    assert answer.status_code == 200, answer.text
    return json_of(answer)


def request_refund(
    actor: Actor, payment: Json, amount: int | None = None, key: str = ""
) -> httpx.Response:
    body = {"amount": amount, "idempotencyKey": key or unique("refund-")}
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    return actor.call("POST", path, json={k: v for k, v in body.items() if v is not None})
