"""Idempotency keys: with one, a client may repeat a call without doing anything twice."""

import hashlib
from collections.abc import Mapping
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


def fingerprint(data: msgspec.Struct) -> str:
    """Return a hash of a body, leaving out its key. A repeat has the same hash; other content has another.

    A field that was added later is left out while it has its default, so that keys used before it was added stay good,
    and so do keys while two versions of the service run side by side.
    """
    content = {**msgspec.to_builtins(data), "idempotencyKey": None}
    first = next(fields for body, fields in _FIRST_FIELDS.items() if isinstance(data, body))
    for field in msgspec.structs.fields(data):
        if field.encode_name not in first and _has_default(data, field):
            del content[field.encode_name]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _has_default(data: msgspec.Struct, field: msgspec.structs.FieldInfo) -> bool:
    value = getattr(data, field.name)
    if field.default is not msgspec.NODEFAULT:
        return bool(value == field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return False
