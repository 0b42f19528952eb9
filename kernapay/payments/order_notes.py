"""What the gateway's order says about our payment: enough to rebuild the row, and to answer its idempotency key.

It is one note of at most 256 characters, because clients may use 14 of the 15 notes of an order. It names nobody: the
user is an id, the key a hash. The gateway copies the notes of an order into its payments, where Checkout may change
them, so only those of the order are believed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from bson import ObjectId

from kernapay.payments.models import Payment
from kernapay.payments.references import REFERENCE_PATTERN

NOTE: Final = "kernapay_payment"
# Razorpay: the longest note.
_LONGEST: Final = 256
_VERSION: Final = "1"
_PREFIX: Final = "PAY_"
_HEX_DIGITS: Final = 64
# 192 bits of the hash, so that everything fits.
_HASH_LENGTH: Final = 32
_OBJECT_ID: Final = re.compile("[0-9a-f]{24}")


class OrderNote(NamedTuple):
    """The fields of our note. `fingerprint` is None if it was of a form that the note does not hold."""

    payment_id: ObjectId
    user_id: ObjectId
    reference_id: str
    key_hash: str | None
    fingerprint: str | None
    payee_id: ObjectId | None
    service_type: str


def hash_key(user_id: object, key: str) -> str:
    """Return the hash of a user's idempotency key."""
    return _encode(hashlib.sha256(f"{user_id}\n{key}".encode()).digest())[:_HASH_LENGTH]


def pack(payment: Payment) -> str:
    """Return our note for the order of a payment. It starts with the payment's id."""
    note = "|".join(
        (
            str(payment.pk),
            _VERSION,
            payment.reference_id.removeprefix(_PREFIX),
            hash_key(payment.user_id, payment.idempotency_key) if payment.idempotency_key else "",
            _shorten(payment.fingerprint),
            str(payment.payee_id or ""),
            payment.service_type,
        )
    )
    # A row of another system may have longer fields. Its payment must be possible all the same.
    return note if len(note) <= _LONGEST else str(payment.pk)


def unpack(notes: object) -> OrderNote | None:
    """Return what the notes of an order say, or None if they are not those of this version."""
    note = notes.get(NOTE) if isinstance(notes, Mapping) else None
    parts = note.split("|", 6) if isinstance(note, str) else []
    if len(parts) != 7 or parts[1] != _VERSION:
        return None
    payment_id, _, rest, key_hash, fingerprint, payee_id, service_type = parts
    reference_id = _PREFIX + rest
    if not (re.fullmatch(REFERENCE_PATTERN, reference_id) and _OBJECT_ID.fullmatch(payment_id)):
        return None
    return OrderNote(
        ObjectId(payment_id),
        ObjectId(reference_id.split("_")[1]),
        reference_id,
        key_hash or None,
        _lengthen(fingerprint),
        ObjectId(payee_id) if _OBJECT_ID.fullmatch(payee_id) else None,
        service_type,
    )


def client_notes(notes: object) -> dict[str, str]:
    """Return the notes of an order without ours."""
    if not isinstance(notes, Mapping):
        return {}  # Razorpay: no notes are an empty list
    return {str(name): str(value) for name, value in notes.items() if name != NOTE}


def _shorten(fingerprint: str | None) -> str:
    try:
        octets = bytes.fromhex(fingerprint or "")
    except ValueError:
        return ""
    return _encode(octets) if len(fingerprint or "") == _HEX_DIGITS else ""


def _lengthen(text: str) -> str | None:
    try:
        octets = base64.urlsafe_b64decode(f"{text}=")
    except binascii.Error:
        return None
    return octets.hex() if len(octets) * 2 == _HEX_DIGITS else None


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
