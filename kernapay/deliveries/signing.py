"""Sign events as the Standard Webhooks specification says: version `v1`, which is HMAC-SHA256.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32  # the specification: between 24 and 64


def new_secret() -> str:
    """Return a new secret, as its receiver configures it."""
    return _PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for."""
    return b64decode(secret.removeprefix(_PREFIX), validate=True)


def sign(keys: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent the body, and when. `timestamp` is in seconds.

    There is one signature per key: during a rotation, a receiver with either secret finds its own.
    """
    signed = f"{event_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{b64encode(each).decode()}" for each in digests),
    }
