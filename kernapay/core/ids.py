"""The format of MongoDB's ids in the API."""

from typing import Final

from kernapay.core.patterns import explain

OBJECT_ID_PATTERN: Final = explain(r"^[0-9a-f]{24}$", "24 hexadecimal digits")
OBJECT_ID_EXAMPLE: Final = "66b1f0c2a7d4e5f601234567"
