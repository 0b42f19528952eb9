"""Keys derived from a configured secret, one per purpose, and encryption with them."""

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
        boxes = [Fernet(key) for key in keys]
        self._current = boxes[0]
        self._boxes = MultiFernet(boxes)

    def seal(self, text: str) -> bytes:
        return self._boxes.encrypt(text.encode())

    def renew(self, sealed: bytes) -> bytes | None:
        """Return the text encrypted with the first secret, None if it is so already. Raises BrokenSeal."""
        try:
            self._current.decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None

    def open(self, sealed: bytes) -> str:
        """Return the text. Raises BrokenSeal."""
        try:
            return self._boxes.decrypt(sealed).decode()
        except InvalidToken as error:
            raise BrokenSeal(
                "The text was encrypted with a secret that is not configured."
            ) from error
