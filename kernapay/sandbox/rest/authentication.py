"""HTTP Basic authentication with a key pair."""

import base64
import binascii
import hmac

from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.errors import not_applicable


def authenticate(config: SandboxConfig, header: str) -> str:
    """Return the key id. Raise RazorpayError unless the header has a configured key pair."""
    scheme, key_id, secret = read_credentials(header)
    expected = config.keys.get(key_id)
    # Razorpay: the scheme is case-sensitive.
    if (
        scheme != "Basic"
        or expected is None
        or not hmac.compare_digest(secret.encode(), expected.encode())
    ):
        raise not_applicable("Authentication failed", config.bad_key_status)
    return key_id


def read_credentials(header: str) -> tuple[str, str, str]:
    """Return scheme, key id and secret; empty where the header has none."""
    scheme, _, credentials = header.partition(" ")
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        decoded = ""
    key_id, _, secret = decoded.partition(":")
    return scheme, key_id, secret


def read_key_id(header: str) -> str:
    """Return the key id of a call that names no secret, as public ones may."""
    return read_credentials(header)[1]
