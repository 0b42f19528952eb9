"""The hashes by which administrators find a payment by a value of its notes.

An index of the values themselves could need more room than the payment. The hash of each takes 22 characters.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

# Razorpay: the most notes of an order.
_MOST: Final = 15
# 132 bits: two values with one hash are not to be expected, nor can anybody make a second for a given one.
_LENGTH: Final = 22


def hash_note(value: str) -> str:
    """Return the hash of a value, without the blanks around it."""
    digest = hashlib.sha256(value.strip().encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:_LENGTH]


def hash_notes(notes: Mapping[str, str]) -> list[str]:
    """Return the hashes of the values that are not blank."""
    values = [value for value in notes.values() if value.strip()]
    return sorted({hash_note(value) for value in values[:_MOST]})
