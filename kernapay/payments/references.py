"""References and receipts: the ids of payments and refunds that clients and the gateway see."""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from typing import Final

from bson import ObjectId

from kernapay.core.patterns import explain
from kernapay.payments.models import Payment

REFERENCE_PATTERN: Final = explain(
    # References of the Express service end in up to three digits.
    r"^PAY_[0-9a-f]{24}_[0-9]{13}_[A-Za-z0-9_-]{1,32}$",
    "the reference of a payment, which starts with PAY_",
)
REFERENCE_EXAMPLE: Final = "PAY_66b1f0c2a7d4e5f601234567_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA"
DEFAULT_RECEIPT_PREFIX: Final = "KP"
# With an underscore and an ObjectId a receipt has 35 characters (Razorpay: at most 40).
RECEIPT_PREFIX_PATTERN: Final = "[A-Z][A-Z0-9]{0,9}"
_FORMER: Final = re.compile("PAY_[0-9a-f]{24}_[0-9]{13}_[0-9]{1,3}")
_RECEIPT: Final = re.compile(rf"({RECEIPT_PREFIX_PATTERN})_([0-9a-f]{{24}})")


def is_former(reference_id: str) -> bool:
    """Return whether a reference is of the Express service's form, which can be guessed."""
    return _FORMER.fullmatch(reference_id) is not None


def new_reference_id(user_id: str, at: datetime) -> str:
    """Return a new reference that cannot be guessed.

    Its random part has 128 bits, because `status` needs no token and answers anyone who knows the reference.
    """
    return f"PAY_{user_id}_{int(at.timestamp() * 1000)}_{secrets.token_urlsafe(16)}"


def created_at_of(reference_id: str) -> datetime:
    """Return the time that a reference contains, in UTC, to the millisecond. An imported row may have another one."""
    return datetime.fromtimestamp(int(reference_id.split("_")[2]) / 1000, UTC)


def make_receipt(payment_id: ObjectId, prefix: str = DEFAULT_RECEIPT_PREFIX) -> str:
    """Return the receipt of a payment's order. The prefix names the installation, as several may share an account."""
    return f"{prefix}_{payment_id}"


def receipt_of(payment: Payment) -> str:
    """Return the receipt under which the gateway has the payment's order."""
    # Rows from before the field have the receipt that every installation made then.
    return payment.receipt or make_receipt(payment.pk)


def gateway_names_of(payment: Payment) -> list[str]:
    """Return the receipt and all ids of orders and payments by which the gateway is asked about a payment."""
    names = [
        receipt_of(payment),
        payment.razorpay_order_id,
        *payment.surplus_orders,
        payment.razorpay_payment_id,
        *(step.razorpay_payment_id for step in payment.history),
        *(each.payment_id for each in payment.surplus_payments),
        *(each.payment_id for each in payment.disputes),
    ]
    return list(dict.fromkeys(name for name in names if name))


def make_refund_receipt(payment_id: ObjectId, key: str) -> str:
    """Return the receipt of the refund with this idempotency key, which is also its key at the gateway.

    It follows from what the client repeats, so that after a restore of an older copy the refund is found by it.
    """
    # With 144 bits of the hash it has the 40 characters that Razorpay allows.
    return f"KPR_{hashlib.sha256(f'{payment_id} {key}'.encode()).hexdigest()[:36]}"


def payment_id_of(receipt: object) -> ObjectId | None:
    """Return the id of the payment that a receipt of KernaPay contains, whichever installation made it. Else None."""
    match = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    return ObjectId(match[2]) if match else None


def prefix_of(receipt: object) -> str | None:
    """Return the prefix of a receipt of KernaPay, or None when it is somebody else's."""
    match = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    return match[1] if match else None
