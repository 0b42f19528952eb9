"""Our note in the gateway's order: enough to rebuild the payment's row, and to answer its idempotency key.

It is one note of at most 256 characters, because clients may use 14 of the 15 notes of an order. It names nobody: user
and customer are ids, the key a hash. The gateway copies the notes of an order into its payments, where Checkout may
change them, so only those of the order are believed.

A payment for a customer, or with a link to the checkout page, has a note of the second version. It packs the ids, so
that one more has room. The others have one of the first, which earlier versions of the service can read as well.
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
_FIRST: Final = "1"
_SECOND: Final = "2"
_PREFIX: Final = "PAY_"
_HEX_DIGITS: Final = 64
# 192 bits of the hash, so that everything fits.
_HASH_LENGTH: Final = 32
_OBJECT_ID: Final = re.compile("[0-9a-f]{24}")
# In the second version: the ids of user, customer and payee, and whether there is a link.
_PACKED: Final = re.compile(r"([\w-]{16})([\w-]{16}|\.{16})([\w-]{16}|\.{16})([cn])", re.ASCII)
_NO_ID: Final = "." * 16
# What `pack` writes, of any version. Whoever changes the note in Checkout can put no address or sentence into this.
_FORM: Final = re.compile(r"[0-9a-f]{24}(?:\|[\w.-]*){0,6}", re.ASCII)


class OrderNote(NamedTuple):
    """The fields of our note. `fingerprint` is None if the note cannot hold its form."""

    payment_id: ObjectId
    user_id: ObjectId
    reference_id: str
    key_hash: str | None
    fingerprint: str | None
    payee_id: ObjectId | None
    service_type: str
    customer_id: ObjectId | None = None
    has_link: bool = False


def hash_key(user_id: object, key: str) -> str:
    """Return the hash of a user's idempotency key."""
    return _encode(hashlib.sha256(f"{user_id}\n{key}".encode()).digest())[:_HASH_LENGTH]


def pack(payment: Payment) -> str:
    """Return our note for the order of a payment. It starts with the payment's id."""
    rest = payment.reference_id.removeprefix(_PREFIX)
    if payment.customer_id or payment.checkout:
        version, ids, rest = _SECOND, _pack_ids(payment), rest.partition("_")[2]
    else:
        version, ids = _FIRST, str(payment.payee_id or "")
    note = "|".join(
        (
            str(payment.pk),
            version,
            rest,
            hash_key(payment.user_id, payment.idempotency_key) if payment.idempotency_key else "",
            _shorten(payment.fingerprint),
            ids,
            payment.service_type,
        )
    )
    # A row of another system may have longer fields. Its payment must be possible all the same.
    return note if len(note) <= _LONGEST else str(payment.pk)


def unpack(notes: object) -> OrderNote | None:
    """Decode our note in the notes of an order. Return None if its version is unknown."""
    note = notes.get(NOTE) if isinstance(notes, Mapping) else None
    parts = note.split("|", 6) if isinstance(note, str) else []
    if len(parts) != 7 or parts[1] not in (_FIRST, _SECOND):
        return None
    payment_id, version, rest, key_hash, fingerprint, ids, service_type = parts
    payee_id, customer_id, has_link = _read_id(ids), None, False
    if version == _SECOND:
        packed = _PACKED.fullmatch(ids)
        if packed is None:
            return None
        user_id, customer_id, payee_id = (_unpack_id(packed[place]) for place in (1, 2, 3))
        rest, has_link = f"{user_id}_{rest}", packed[4] == "c"
    reference_id = _PREFIX + rest
    if not (re.fullmatch(REFERENCE_PATTERN, reference_id) and _OBJECT_ID.fullmatch(payment_id)):
        return None
    return OrderNote(
        ObjectId(payment_id),
        ObjectId(reference_id.split("_")[1]),
        reference_id,
        key_hash or None,
        _lengthen(fingerprint),
        payee_id,
        service_type,
        customer_id,
        has_link,
    )


def client_notes(notes: object) -> dict[str, str]:
    """Return the notes of an order without ours."""
    if not isinstance(notes, Mapping):
        return {}  # Razorpay: no notes are an empty list
    return {str(name): str(value) for name, value in notes.items() if name != NOTE}


def own_notes(notes: object) -> dict[str, str]:
    """Return our note alone, if there is one: from an order, or as the gateway copied it into a payment."""
    note = notes.get(NOTE) if isinstance(notes, Mapping) else None
    is_ours = isinstance(note, str) and len(note) <= _LONGEST and _FORM.fullmatch(note)
    return {NOTE: str(note)} if is_ours else {}


def _pack_ids(payment: Payment) -> str:
    ids = (payment.user_id, payment.customer_id, payment.payee_id)
    packed = (_encode(ObjectId(each).binary) if each else _NO_ID for each in ids)
    return "".join(packed) + ("c" if payment.checkout else "n")


def _unpack_id(text: str) -> ObjectId | None:
    return None if text == _NO_ID else ObjectId(base64.urlsafe_b64decode(text))


def _read_id(text: str) -> ObjectId | None:
    return ObjectId(text) if _OBJECT_ID.fullmatch(text) else None


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
