"""The form of an API key: `kp_live_` or `kp_test_`, 256 random bits, a checksum.

Prefix and checksum let a leak scanner tell a key from noise without asking us, and let us refuse noise unasked.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import Final

from kernapay.security.authentication import KEY_PREFIX

_ALPHABET: Final = string.digits + string.ascii_letters
_SECRET_LENGTH: Final = 43  # 62 ** 43 > 2 ** 256
_CHECKSUM_LENGTH: Final = 6
_FORM: Final = re.compile(r"(kp_(?:live|test)_[0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)


def new_key(*, live: bool) -> str:
    body = f"{KEY_PREFIX}{'live' if live else 'test'}_" + "".join(
        secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH)
    )
    return body + _checksum(body)


def digest_of(key: str) -> str | None:
    """Give what is stored instead of the key; None when it cannot be one. 256 random bits need no salt."""
    match = _FORM.fullmatch(key)
    if match is None or not hmac.compare_digest(_checksum(match[1]), match[2]):
        return None
    return hashlib.sha256(key.encode()).hexdigest()


def hint_of(key: str) -> str:
    """Give enough of a key to recognise it by, and too little to use."""
    return f"{key[:8]}…{key[-4:]}"


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
