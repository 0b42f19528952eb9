"""The idempotency keys of an earlier service, which could be any text."""

import hashlib
import re
from typing import Final

from kernapay.payments.fields import KEY_PATTERN

_TAKEN: Final = re.compile(KEY_PATTERN)
_LONGEST: Final = 128


def stored_key(key: str) -> str:
    """Return the key under which a purchase of an earlier service is stored: a hash of a key that we would not take."""
    if not key or (len(key) <= _LONGEST and _TAKEN.fullmatch(key)):
        return key
    return f"former_{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
