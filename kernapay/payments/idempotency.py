"""The key by which a client may repeat a call without harm."""

import hashlib

import msgspec

from kernapay.core.errors import InvalidInput


def one_key(body_key: str | None, header_key: str | None) -> str:
    """Give the key of the body or of the Idempotency-Key header. Raises InvalidInput on none or two."""
    if body_key and header_key and body_key != header_key:
        raise InvalidInput(
            "The Idempotency-Key header and the body name different keys.", field="idempotencyKey"
        )
    key = body_key or header_key
    if not key:
        raise InvalidInput("Field required.", field="idempotencyKey")
    return key


def fingerprint(data: msgspec.Struct) -> str:
    """Tell bodies apart that come with one key; the key itself is no part of it."""
    content = {**msgspec.to_builtins(data), "idempotencyKey": None}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
