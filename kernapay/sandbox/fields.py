"""Read the fields of bodies and queries, with Razorpay's error messages."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from kernapay.sandbox.errors import RazorpayError, bad_request
from kernapay.sandbox.form_names import parse_names

T = TypeVar("T")

# Razorpay: at most 15 pairs of notes, 256 characters in each key or value.
MAX_NOTES = 15
MAX_NOTE_LENGTH = 256
# Razorpay: `from` and `to` lie between 2000 and 2120, in Unix seconds.
MIN_TIME, MAX_TIME = 946_684_800, 4_765_046_400
# Ours: no table has so many rows. A larger number fits no index.
MAX_SKIP = 2**53
# Ours: the longest text of a field without a limit of its own.
MAX_TEXT_LENGTH = 2048


class Fields:
    """The fields of one request. Each method raises RazorpayError if its field is invalid.

    None means that the field is missing or empty.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._names_read: set[str] = set()

    @classmethod
    def from_body(cls, body: bytes, content_type: str) -> "Fields":
        if not body.strip():
            return cls({})
        try:
            if content_type.startswith("application/x-www-form-urlencoded"):
                return cls(parse_names(parse_qsl(body.decode(), keep_blank_values=True)))
            decoded = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            raise bad_request("The request body could not be parsed.") from None
        # PHP clients write an empty object as an empty list, the SDK for Go an absent one as null.
        if decoded in ([], None):
            decoded = {}
        if not isinstance(decoded, dict):
            raise bad_request("The request body must be an object.")
        return cls(decoded)

    @classmethod
    def from_query(cls, query: bytes) -> "Fields":
        try:
            return cls(parse_names(parse_qsl(query.decode("ascii"), keep_blank_values=True)))
        except (UnicodeDecodeError, ValueError):
            raise bad_request("The query could not be parsed.") from None

    def value(self, name: str) -> Any:
        self._names_read.add(name)
        return self._raw.get(name)

    def has_any(self, names: Collection[str]) -> bool:
        return not self._raw.keys().isdisjoint(names)

    def reject_unread(self) -> None:
        """Raise RazorpayError if the request has a field that no other method read."""
        unread = [name for name in self._raw if name not in self._names_read]
        if unread:
            raise RazorpayError(
                f"{', '.join(unread)[:200]} is/are not required and should not be sent",
                reason="extra_field_sent",
            )

    def integer(self, name: str) -> int | None:
        value = self.value(name)
        if value is None or value == "":
            return None
        if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise bad_request(f"The {name} must be an integer.", name)

    def require_integer(self, name: str) -> int:
        return self._require(name, self.integer(name))

    def text(self, name: str, max_length: int = MAX_TEXT_LENGTH) -> str | None:
        value = self.value(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise bad_request(f"The {name} must be a string.", name)
        if len(value) > max_length:
            raise bad_request(f"{name}: the length must be no more than {max_length}.", name)
        return value

    def require_text(self, name: str, max_length: int = MAX_TEXT_LENGTH) -> str:
        return self._require(name, self.text(name, max_length))

    def choice(self, name: str, *choices: str) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            raise bad_request(f"The selected {name} is invalid.", name)
        return value

    def flag(self, name: str) -> bool | None:
        value = self.value(name)
        if value is None or value == "":
            return None
        for flag, spellings in ((True, ("1", "true")), (False, ("0", "false"))):
            if isinstance(value, bool | int | str) and str(value).lower() in spellings:
                return flag
        raise bad_request(f"The {name} field must be true or false.", name)

    def notes(self) -> dict[str, str] | None:
        value = self.value("notes")
        if value is None:
            return None
        if value in ([], ""):
            return {}
        if not isinstance(value, dict):
            raise bad_request("The notes must be an array.", "notes")
        if len(value) > MAX_NOTES:
            raise bad_request(
                f"Number of fields in notes should be less than or equal to {MAX_NOTES}.", "notes"
            )
        notes = {}
        for key, note in value.items():
            if isinstance(note, dict | list):
                raise bad_request("The notes values themselves should not be an array", "notes")
            text = note_text(note)
            if len(key) > MAX_NOTE_LENGTH or len(text) > MAX_NOTE_LENGTH:
                raise bad_request(
                    f"Notes value should not exceed {MAX_NOTE_LENGTH} characters.", "notes"
                )
            notes[key] = text
        return notes

    def require_notes(self) -> dict[str, str]:
        return self._require("notes", self.notes())

    def object(self, name: str) -> "Fields | None":
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise bad_request(f"The {name} must be an object.", name)
        return Fields(value)

    def objects(self, name: str) -> "list[Fields] | None":
        """Return the objects of a list. PHP writes a list with gaps as an object with numbers as names."""
        value = self.value(name)
        if value is None or value == "":
            return None
        items = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise bad_request(f"The {name} must be an array.", name)
        return [Fields(item) for item in items]

    def texts(self, name: str) -> list[str] | None:
        value = self.value(name)
        if value is None or value == "":
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise bad_request(f"The {name} must be an array.", name)
        return value

    def whole_number(self, name: str) -> int | None:
        """Return an integer that may be written with a point, as PHP writes the product of two numbers: 50000.0."""
        value = self.value(name)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return self.integer(name)

    def rest(self) -> dict[str, Any]:
        """Return every field that no other method read, as it is, and count it as read."""
        rest = {name: value for name, value in self._raw.items() if name not in self._names_read}
        self._names_read.update(rest)
        return rest

    def expand(self, *allowed: str) -> frozenset[str]:
        """Return what to expand: `expand[]=a`, `expand[0]=a`, `expand[expand]=a` and `expand=a` name the same."""
        names = leaves(self.value("expand"))
        for name in names:
            if name not in allowed:
                raise bad_request(f"{str(name)[:100]} is not a valid expand value", "expand")
        return frozenset(names)

    def _require(self, name: str, value: T | None) -> T:
        if value is None:
            raise bad_request(f"The {name} field is required.", name)
        return value


class Page(msgspec.Struct, frozen=True):
    """The part of a list to return. `start` and `end` are Unix seconds, both included."""

    start: int
    end: int
    count: int
    skip: int

    @classmethod
    def from_query(cls, query: Fields, max_count: int = 100, default_count: int = 10) -> "Page":
        count = query.integer("count")
        if count is not None and count > max_count:
            raise bad_request(f"The count may not be greater than {max_count}.", "count")
        if count is not None and count < 1:
            raise bad_request("The count must be at least 1.", "count")
        skip = query.integer("skip") or 0
        if skip < 0:
            raise bad_request("The skip must be at least 0.", "skip")
        start, end = query.integer("from"), query.integer("to")
        for name, bound in (("from", start), ("to", end)):
            if bound is not None and not MIN_TIME <= bound <= MAX_TIME:
                raise bad_request(f"{name} must be between {MIN_TIME} and {MAX_TIME}", name)
        return cls(start or 0, end or MAX_TIME, count or default_count, min(skip, MAX_SKIP))


def leaves(value: Any) -> list[Any]:
    """Return the values of nested objects and lists, without those."""
    if value is None:
        return []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def note_text(note: Any) -> str:
    if isinstance(note, str):
        return note
    return "" if note is None else msgspec.json.encode(note).decode()
