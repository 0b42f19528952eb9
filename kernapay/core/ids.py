"""Identifiers that leave the house."""

import re
import secrets
from datetime import datetime
from typing import Final

from bson import ObjectId

from kernapay.core.text import form

REFERENCE_PATTERN: Final = form(
    r"^PAY_[0-9a-f]{24}_[0-9]{13}_[A-Za-z0-9_-]{16,32}$", "a reference such as PAY_…_…_…"
)
OBJECT_ID_PATTERN: Final = form(r"^[0-9a-f]{24}$", "24 hexadecimal digits")
REFERENCE_EXAMPLE: Final = "PAY_66b1f0c2a7d4e5f601234567_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA"
OBJECT_ID_EXAMPLE: Final = "66b1f0c2a7d4e5f601234567"
RECEIPT_PREFIX: Final = "KP_"
_RECEIPT: Final = re.compile(rf"{RECEIPT_PREFIX}([0-9a-f]{{24}})")


def new_reference_id(user_id: str, at: datetime) -> str:
    """Make an unguessable reference: its random part has 128 bits, for `status` shows it to anyone."""
    return f"PAY_{user_id}_{int(at.timestamp() * 1000)}_{secrets.token_urlsafe(16)}"


def receipt_of(payment_id: ObjectId) -> str:
    """Name a payment to the gateway: 27 characters, where a reference id would pass its limit of 40."""
    return f"{RECEIPT_PREFIX}{payment_id}"


def new_refund_receipt() -> str:
    """Name a refund to the gateway, as its receipt and as its idempotency key: 28 characters of its alphabet."""
    return f"KPR_{ObjectId()}"


def payment_id_of(receipt: object) -> ObjectId | None:
    """Read our payment id back from a receipt; None when the receipt is not one of ours."""
    match = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    return ObjectId(match[1]) if match else None
