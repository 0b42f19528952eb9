"""HTTP Basic authentication with a key pair."""

import base64
import binascii
import hmac

from kernapay.sandbox.errors import not_applicable
from kernapay.sandbox.keyring import Keyring


def authenticate(keyring: Keyring, header: str, bad_key_status: int) -> str:
    """Return the account. Raise RazorpayError unless the header has one of its key pairs."""
    scheme, key_id, secret = read_credentials(header)
    key = keyring.find(key_id)
    # Razorpay: the scheme is case-sensitive.
    if (
        scheme != "Basic"
        or key is None
        or not hmac.compare_digest(secret.encode(), key.secret.encode())
    ):
        raise not_applicable("Authentication failed", bad_key_status)
    return key.owner


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
