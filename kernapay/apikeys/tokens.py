"""The form of an API key: `kp_live_` or `kp_test_`, 256 random bits and a checksum.

By prefix and checksum, leak scanners recognise a key without calling us, and we refuse other text without a query.
A key with scopes begins with `kp_scoped_`. Versions that know no scopes do not know this form either: during an update,
and after a step back, they refuse the key instead of giving it all that its role may.
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
_FORM: Final = re.compile(
    r"(kp_(?:scoped_)?(?:live|test)_[0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII
)


def new_key(*, live: bool, is_scoped: bool = False) -> str:
    prefix = f"{KEY_PREFIX}{'scoped_' if is_scoped else ''}{'live' if live else 'test'}_"
    body = prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return body + _checksum(body)


def digest_of(key: str) -> str | None:
    """Return what is stored instead of the key, or None if the text does not have the form of one.

    A plain SHA-256 is enough: 256 random bits cannot be guessed, and need neither salt nor a slow hash.
    """
    match = _FORM.fullmatch(key)
    if match is None or not hmac.compare_digest(_checksum(match[1]), match[2]):
        return None
    return hashlib.sha256(key.encode()).hexdigest()


def hint_of(key: str) -> str:
    """Return the prefix and the last characters of a key, by which people recognise it."""
    return f"{key[: key.rindex('_') + 1]}…{key[-4:]}"


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
