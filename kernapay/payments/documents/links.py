"""Links to documents: one shows a receipt without a token for minutes, one checks a document for good."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.core.keys import derive_key
from kernapay.files.base import LINK_LIFETIME, FileLink

PATH: Final = "/r"
TOKEN_LENGTH: Final = 43
CODE_LENGTH: Final = 22
_ID_BYTES: Final = 12
_TIME_BYTES: Final = 4
_MAC_BYTES: Final = 16


class ReceiptLinks:
    """The token of a link is the payment's `_id`, when the link ends, and a message authentication code."""

    def __init__(self, address: str | None, secrets: Sequence[str], clock: Clock = now) -> None:
        """`address` is where payers reach this service. The first secret signs; all of them are accepted."""
        self._address = address
        self._keys = [derive_key(secret, "receipt-link") for secret in secrets]
        self._clock = clock

    def check_url(self, code: str) -> str | None:
        """Return the link that checks the document with this code, None without an address for payers."""
        return None if self._address is None else f"{self._address}{PATH}/check/{code}"

    def of_payment(self, payment_id: str) -> FileLink:
        """Return a link that shows the receipt of a payment for LINK_LIFETIME."""
        expires = int((self._clock() + LINK_LIFETIME).timestamp())
        signed = ObjectId(payment_id).binary + expires.to_bytes(_TIME_BYTES, "big")
        token = urlsafe_b64encode(signed + _mac(self._keys[0], signed)).rstrip(b"=").decode()
        url = f"{self._address or ''}{PATH}/{token}"
        return FileLink("receipt.html", url, datetime.fromtimestamp(expires, UTC))

    def read(self, token: str) -> str | None:
        """Return the id of the payment, None if we did not sign the link or it has expired."""
        raw = urlsafe_b64decode(token + "=")
        signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        # All of them, so that the time does not tell which secret signed.
        fits = [hmac.compare_digest(mac, _mac(key, signed)) for key in self._keys]
        expires = int.from_bytes(signed[_ID_BYTES:], "big")
        if not any(fits) or expires <= self._clock().timestamp():
            return None
        return str(ObjectId(signed[:_ID_BYTES]))


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)[:_MAC_BYTES]
