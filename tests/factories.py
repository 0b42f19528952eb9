"""Valid bodies; a test changes the one thing it is about."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from tests.aliases import Json
from tests.stack import WEBHOOK_SECRET

PASSWORD = "correct horse battery"


def unique(prefix: str = "") -> str:
    return f"{prefix}{secrets.token_hex(8)}"


def new_email() -> str:
    return f"{unique('asha.')}@example.com"


def sign_up_body(**changes: Any) -> Json:
    return {
        "email": new_email(),
        "name": "Asha Rao",
        "password": PASSWORD,
        "confirmPassword": PASSWORD,
        "mobileNumber": 9876543210,
        "countryCode": "+91",
        "type": "USER",
        **changes,
    }


def payment_body(**changes: Any) -> Json:
    return {
        "amount": 50000,
        "currency": "INR",
        "description": "Consultation, 30 minutes",
        "providerId": "66b1f0c2a7d4e5f601234567",
        "serviceType": "CONSULTATION",
        "idempotencyKey": unique("key-"),
        **changes,
    }


def without(body: Mapping[str, Any], *names: str) -> Json:
    return {name: value for name, value in body.items() if name not in names}


def gateway_payment(order_id: str, **changes: Any) -> Json:
    """Return a payment as the gateway writes it."""
    return {
        "id": f"pay_{secrets.token_hex(7)}",
        "entity": "payment",
        "amount": 50000,
        "currency": "INR",
        "status": "captured",
        "order_id": order_id,
        "method": "upi",
        "captured": True,
        "amount_refunded": 0,
        "refund_status": None,
        "notes": [],
        "created_at": 1_760_000_000,
        **changes,
    }


def failed_payment(order_id: str, **changes: Any) -> Json:
    return gateway_payment(
        order_id,
        **{
            "status": "failed",
            "captured": False,
            "error_code": "BAD_REQUEST_ERROR",
            "error_reason": "payment_failed",
            **changes,
        },
    )


def gateway_refund(payment: Mapping[str, Any], amount: int, **changes: Any) -> Json:
    """Return a refund as the gateway writes it."""
    return {
        "id": f"rfnd_{secrets.token_hex(7)}",
        "entity": "refund",
        "amount": amount,
        "currency": payment["currency"],
        "payment_id": payment["id"],
        "status": "processed",
        "receipt": None,
        "notes": [],
        "created_at": 1_760_000_100,
        **changes,
    }


def event_body(name: str, **entities: Mapping[str, Any]) -> bytes:
    """Return a webhook's bytes; `payment=`, `refund=`, `order=` are its entities."""
    return msgspec.json.encode(
        {
            "entity": "event",
            "account_id": "acc_tests",
            "event": name,
            "contains": list(entities),
            "payload": {kind: {"entity": entity} for kind, entity in entities.items()},
            "created_at": 1_760_000_200,
        }
    )


def event_headers(
    body: bytes, event_id: str | None = None, secret: str = WEBHOOK_SECRET
) -> dict[str, str]:
    """Return the headers of a webhook that the gateway has signed; its id is new unless given."""
    return {
        "Content-Type": "application/json",
        "X-Razorpay-Signature": signature_of(body, secret),
        "X-Razorpay-Event-Id": event_id or unique("evt_"),
    }


def signature_of(body: bytes, secret: str = WEBHOOK_SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
