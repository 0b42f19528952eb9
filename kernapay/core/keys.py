"""Keys for single purposes, derived from a configured secret, and encryption with them."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

_DOMAIN: Final = b"kernapay/"


class BrokenSeal(ValueError):
    """The text was encrypted with another key, or was changed."""


def derive_key(secret: str, purpose: str) -> bytes:
    """Return a 32-byte key for a purpose. It reveals neither the secret nor any other key."""
    return hmac.digest(secret.encode(), _DOMAIN + purpose.encode(), hashlib.sha256)


class Sealer:
    """Encrypt with the first secret; decrypt with any of them, so that secrets can be rotated."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        keys = (urlsafe_b64encode(derive_key(secret, purpose)) for secret in secrets)
        self._boxes = MultiFernet([Fernet(key) for key in keys])

    def seal(self, text: str) -> bytes:
        return self._boxes.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """Return the text. Raises BrokenSeal."""
        try:
            return self._boxes.decrypt(sealed).decode()
        except InvalidToken as error:
            raise BrokenSeal(
                "The text was encrypted with a secret that is not configured."
            ) from error
