"""Idempotency keys of an earlier service, which accepted any text."""

import hashlib
import re
from typing import Final

from kernapay.payments.fields import KEY_PATTERN

_TAKEN: Final = re.compile(KEY_PATTERN)
_LONGEST: Final = 128


def stored_key(key: str) -> str:
    """Return the key to store. A key that the API does not accept is replaced by its hash."""
    if not key or (len(key) <= _LONGEST and _TAKEN.fullmatch(key)):
        return key
    return f"former_{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
