"""Keys for single purposes, derived from the one configured secret, and texts sealed with them."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

_DOMAIN: Final = b"kernapay/"


class BrokenSeal(ValueError):
    """The text was sealed with another key, or was changed."""


def derive_key(secret: str, purpose: str) -> bytes:
    """Make the 32-byte key of a purpose; no key tells anything about the secret or another key."""
    return hmac.digest(secret.encode(), _DOMAIN + purpose.encode(), hashlib.sha256)


class Sealer:
    """Seal with the first secret; open with any, so that secrets can be rotated."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        keys = (urlsafe_b64encode(derive_key(secret, purpose)) for secret in secrets)
        self._boxes = MultiFernet([Fernet(key) for key in keys])

    def seal(self, text: str) -> bytes:
        return self._boxes.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """Raises BrokenSeal."""
        try:
            return self._boxes.decrypt(sealed).decode()
        except InvalidToken as error:
            raise BrokenSeal("sealed with a secret that is not configured here") from error
