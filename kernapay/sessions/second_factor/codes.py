"""Codes of authenticators (RFC 6238) and recovery codes."""

import hashlib
import hmac
import re
import secrets
from base64 import b32decode, b32encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from kernapay.core.text import digits_of, folded

_DIGITS: Final = 6
_STEP_SECONDS: Final = 30
# RFC 6238: one step to either side, for a clock that is a little wrong and for the time it takes to type.
_TOLERANCE: Final = 1
# RFC 4226: as many bytes as the hash has.
_KEY_BYTES: Final = 20
_RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
_IGNORED: Final = re.compile(r"[\s-]")
_TOTP_TEXT: Final = re.compile(rf"\d{{{_DIGITS}}}")


def new_key() -> str:
    """Return the key of a new authenticator, in base 32 as people type it."""
    return b32encode(secrets.token_bytes(_KEY_BYTES)).decode()


def make_uri(key: str, account: str, issuer: str) -> str:
    """Return the `otpauth:` URI that authenticators read from a QR code."""
    label = quote(f"{issuer}:{account}", safe="")
    return f"otpauth://totp/{label}?{urlencode({'secret': key, 'issuer': issuer}, quote_via=quote)}"


def find_step(key: str, code: str, at: datetime) -> int | None:
    """Return the time step that a code of six digits is for, None if it is for none near to this time."""
    # Authenticators know no other hash reliably.
    totp = TOTP(b32decode(key), _DIGITS, SHA1(), _STEP_SECONDS)  # noqa: S303
    digits = digits_of(code).encode()
    present = int(at.timestamp()) // _STEP_SECONDS
    steps = range(present - _TOLERANCE, present + _TOLERANCE + 1)
    fitting = [
        step for step in steps if hmac.compare_digest(totp.generate(step * _STEP_SECONDS), digits)
    ]
    return max(fitting, default=None)


def is_of_authenticator(code: str) -> bool:
    """Return whether a code has the form of an authenticator code. Recovery codes are longer."""
    return _TOTP_TEXT.fullmatch(_IGNORED.sub("", code)) is not None


def new_recovery_codes() -> list[str]:
    """Return recovery codes, in the form in which people write them down."""
    return [_new_recovery_code() for _ in range(_RECOVERY_CODES)]


def _new_recovery_code() -> str:
    text = b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def hash_recovery_code(code: str) -> str:
    """Return what is stored of a recovery code, however it was typed."""
    return hashlib.sha256(_IGNORED.sub("", folded(code)).encode()).hexdigest()


def hash_all(codes: Sequence[str]) -> list[str]:
    return [hash_recovery_code(code) for code in codes]
