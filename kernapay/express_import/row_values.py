"""Read single values of Express rows, which may be missing or of an unexpected type."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import bson
from bson import Decimal128, ObjectId

Row = Mapping[str, Any]

_OBJECT_ID: Final = re.compile("[0-9a-f]{24}")
# Before that there was no gateway to ask.
_FIRST_TIME: Final = datetime(2010, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)
_LONGEST_TEXT: Final = 2000


class CannotMove(Exception):
    """A row cannot be imported. The message says why, for a person, without personal data."""


def text_of(row: Row, name: str) -> str | None:
    """Return a text of a row, None if it is missing, empty or of another type."""
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def unescape(text: str) -> str:
    """Return a text as it was typed, at most 2000 characters. The Express service stored `&lt;` for every `<`."""
    return text.replace("&lt;", "<")[:_LONGEST_TEXT]


def id_text(value: object) -> str | None:
    """Return an id as text, an ObjectId in lower case; None if the value is no id."""
    if isinstance(value, ObjectId):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        return None
    return value.lower() if _OBJECT_ID.fullmatch(value.lower()) else value


def is_object_id(text: str) -> bool:
    return _OBJECT_ID.fullmatch(text) is not None


def number_of(value: object) -> Decimal | None:
    """Return the exact number, None for any other value, including text: `1,00,000.00` is ambiguous."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        # By its shortest text: that of 100.1 is 100.1, although the double is a little more.
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def time_of(row: Row, at: datetime) -> tuple[datetime, bool]:
    """Return the time of creation, and False if `createdAt` is impossible, so that the time of the id stands for it."""
    told = row.get("createdAt")
    if isinstance(told, datetime) and _FIRST_TIME <= told <= at + _AHEAD:
        return told, True
    made: datetime = row["_id"].generation_time
    return min(max(made, _FIRST_TIME), at), "createdAt" not in row


def hash_of(*parts: object) -> str:
    """Return a hash of these values."""
    content = bson.encode({"parts": list(parts)}, codec_options=_CODEC)
    return hashlib.sha256(content).hexdigest()


_CODEC: Final[bson.CodecOptions[dict[str, Any]]] = bson.CodecOptions(
    tz_aware=True, uuid_representation=4
)
