"""The hashes by which payments are found by an entry of their metadata.

The index has a hash of each entry, because names and values could need more room than the payment. A hash takes 22
characters. It includes the type, so that the text "5" differs from the integer 5.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

NAME_PATTERN: Final = r"[A-Za-z0-9_.-]{1,64}"
# 132 bits, as with notes: two entries with one hash are not to be expected, nor can anybody make a second for one.
_LENGTH: Final = 22


def hash_entry(name: str, value: Any) -> str | None:
    """Return the hash of an entry; None for a value of another type, by which no payment is found."""
    kind = kind_of(value)
    if kind is None:
        return None
    digest = hashlib.sha256(f"{name}\0{kind}\0{value}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:_LENGTH]


def hash_metadata(metadata: Mapping[str, Any]) -> list[str]:
    """Return the hashes of the entries by which the payment is found."""
    hashes = (hash_entry(name, value) for name, value in metadata.items())
    return sorted(each for each in hashes if each is not None)


def kind_of(value: Any) -> str | None:
    """Return the name of a value's type, None for one by which no payment is found."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "text"
    return None
