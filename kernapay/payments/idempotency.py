"""Idempotency keys: with one, a client may repeat a call without doing anything twice."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import msgspec

from kernapay.core.errors import InvalidInput
from kernapay.payments.dtos import PaymentCreate, RefundCreate


def resolve_key(body_key: str | None, header_key: str | None) -> str:
    """Return the key from the body or the Idempotency-Key header.

    Raises InvalidInput when there is none, or when the two differ.
    """
    if body_key and header_key and body_key != header_key:
        raise InvalidInput(
            "The body and the Idempotency-Key header have different keys. Send one key, in either place.",
            field="idempotencyKey",
        )
    key = body_key or header_key
    if not key:
        raise InvalidInput(
            "Required. Send it in the body or as the Idempotency-Key header.",
            field="idempotencyKey",
        )
    return key


def fitting_fingerprint(
    data: msgspec.Struct, personal_keys: Sequence[bytes], known: str | None
) -> str:
    """Return the known hash of an earlier request if it fits under one of the keys, else one under the first key."""
    fingerprints = [fingerprint(data, key) for key in personal_keys]
    return known if known is not None and known in fingerprints else fingerprints[0]


# The fields that the first version had. Never change it: repeats of stored keys would be refused as other content.
_FIRST_FIELDS: Final[Mapping[type[msgspec.Struct], frozenset[str]]] = {
    PaymentCreate: frozenset(
        {
            "amount",
            "currency",
            "serviceType",
            "description",
            "providerId",
            "idempotencyKey",
            "notes",
            "metadata",
        }
    ),
    RefundCreate: frozenset({"amount", "reason", "idempotencyKey"}),
}


def fingerprint(data: msgspec.Struct, personal_key: bytes = b"") -> str:
    """Return a hash of a body, leaving out its key. A repeat has the same hash; other content has another.

    What is personal goes in under the key: the gateway gets the hash in the notes of the order, and erasing the
    customer must leave nothing of which addresses or numbers could be guessed.

    A field that was added later is left out while it has its default, so that keys used before it was added stay good,
    and so do keys while two versions of the service run side by side.
    """
    content = {**msgspec.to_builtins(data), "idempotencyKey": None}
    if isinstance(data, PaymentCreate) and data.customer is not None:
        personal = msgspec.json.encode(content["customer"], order="deterministic")
        content["customer"] = hmac.digest(personal_key, personal, hashlib.sha256).hex()
    for field in _later_fields(type(data)):
        if _has_default(data, field):
            del content[field.encode_name]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


@cache
def _later_fields(body: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    first = next(fields for known, fields in _FIRST_FIELDS.items() if issubclass(body, known))
    return [each for each in msgspec.structs.fields(body) if each.encode_name not in first]


def _has_default(data: msgspec.Struct, field: msgspec.structs.FieldInfo) -> bool:
    value = getattr(data, field.name)
    if field.default is not msgspec.NODEFAULT:
        return bool(value == field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return False
