"""Idempotency keys: with one, a client may repeat a call without doing anything twice."""

import hashlib

import msgspec

from kernapay.core.errors import InvalidInput


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


def fingerprint(data: msgspec.Struct) -> str:
    """Return a hash of a body, leaving out its key. A repeat has the same hash; other content has another."""
    content = {**msgspec.to_builtins(data), "idempotencyKey": None}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
