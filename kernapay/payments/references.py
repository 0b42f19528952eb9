"""References and receipts: the ids of payments and refunds that clients and the gateway see."""

import re
import secrets
from datetime import UTC, datetime
from typing import Final

from bson import ObjectId

from kernapay.core.patterns import explain

REFERENCE_PATTERN: Final = explain(
    # References of the Express service end in up to three digits.
    r"^PAY_[0-9a-f]{24}_[0-9]{13}_[A-Za-z0-9_-]{1,32}$",
    "the reference of a payment, which starts with PAY_",
)
REFERENCE_EXAMPLE: Final = "PAY_66b1f0c2a7d4e5f601234567_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA"
RECEIPT_PREFIX: Final = "KP_"
_RECEIPT: Final = re.compile(rf"{RECEIPT_PREFIX}([0-9a-f]{{24}})")


def new_reference_id(user_id: str, at: datetime) -> str:
    """Return a new reference that cannot be guessed.

    Its random part has 128 bits, because `status` needs no token and answers anyone who knows the reference.
    """
    return f"PAY_{user_id}_{int(at.timestamp() * 1000)}_{secrets.token_urlsafe(16)}"


def created_at_of(reference_id: str) -> datetime:
    """Return the time that a reference contains, in UTC, to the millisecond. An imported row may have another one."""
    return datetime.fromtimestamp(int(reference_id.split("_")[2]) / 1000, UTC)


def receipt_of(payment_id: ObjectId) -> str:
    """Return the receipt of a payment's order. It has 27 characters (Razorpay: at most 40)."""
    return f"{RECEIPT_PREFIX}{payment_id}"


def new_refund_receipt() -> str:
    """Return a new receipt for a refund, which is also its idempotency key at the gateway."""
    return f"KPR_{ObjectId()}"


def payment_id_of(receipt: object) -> ObjectId | None:
    """Return the id of the payment that a receipt contains, or None when the receipt is not ours."""
    match = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    return ObjectId(match[1]) if match else None
