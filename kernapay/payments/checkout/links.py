"""Links to the checkout page. Each names one payment and cannot be guessed."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from bson import ObjectId

from kernapay.core.keys import derive_key
from kernapay.web.headers import CHECKOUT_PATH

_ID_BYTES: Final = 12
_MAC_BYTES: Final = 16
TOKEN_LENGTH: Final = 38


class CheckoutLinks:
    """The token of a link is the payment's `_id` with a message authentication code. It is not stored."""

    def __init__(self, address: str | None, secrets: Sequence[str]) -> None:
        """`address` is where payers reach this service. The first secret signs; all of them are accepted."""
        self._address = address
        self._keys = [derive_key(secret, "checkout-link") for secret in secrets]

    @property
    def are_possible(self) -> bool:
        return self._address is not None

    def url_of(self, payment_id: str) -> str:
        """Return the link to a payment. Raises RuntimeError without an address for payers."""
        if self._address is None:
            raise RuntimeError("no PUBLIC_URL")
        raw = ObjectId(payment_id).binary
        token = urlsafe_b64encode(raw + _mac(self._keys[0], raw)).rstrip(b"=").decode()
        return f"{self._address}{CHECKOUT_PATH}/{token}"

    def read(self, token: str) -> str | None:
        """Return the id of the payment that a link names, None if we did not sign it."""
        raw = urlsafe_b64decode(token + "==")
        payment_id, mac = raw[:_ID_BYTES], raw[_ID_BYTES:]
        # All of them, so that the time does not tell which secret signed.
        fits = [hmac.compare_digest(mac, _mac(key, payment_id)) for key in self._keys]
        return str(ObjectId(payment_id)) if any(fits) else None


def _mac(key: bytes, payment_id: bytes) -> bytes:
    return hmac.digest(key, payment_id, hashlib.sha256)[:_MAC_BYTES]
