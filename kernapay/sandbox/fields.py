"""Read bodies and queries field by field, refusing in Razorpay's words."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from kernapay.sandbox.errors import RazorpayError, bad_request

T = TypeVar("T")

MOST_NOTES = 15
LONGEST_NOTE = 256
LONGEST_TEXT = 2048
EARLIEST, LATEST = 946_684_800, 4_765_046_400


class Fields:
    """The fields of one request. `done` refuses whatever nobody asked for."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._read: set[str] = set()

    @classmethod
    def of_body(cls, body: bytes, content_type: str) -> "Fields":
        if not body.strip():
            return cls({})
        try:
            if content_type.startswith("application/x-www-form-urlencoded"):
                return cls(nested(parse_qsl(body.decode(), keep_blank_values=True)))
            decoded = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            raise bad_request("The request body could not be parsed.") from None
        if decoded == []:  # PHP clients send an empty array where they mean an empty object
            decoded = {}
        if not isinstance(decoded, dict):
            raise bad_request("The request body must be an object.")
        return cls(decoded)

    @classmethod
    def of_query(cls, query: bytes) -> "Fields":
        try:
            return cls(nested(parse_qsl(query.decode("ascii"), keep_blank_values=True)))
        except (UnicodeDecodeError, ValueError):
            raise bad_request("The query could not be parsed.") from None

    def value(self, name: str) -> Any:
        self._read.add(name)
        return self._raw.get(name)

    def done(self) -> None:
        extra = [name for name in self._raw if name not in self._read]
        if extra:
            raise RazorpayError(
                f"{', '.join(extra)[:200]} is/are not required and should not be sent",
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

    def need_integer(self, name: str) -> int:
        return self._needed(name, self.integer(name))

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str | None:
        value = self.value(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise bad_request(f"The {name} must be a string.", name)
        if len(value) > longest:
            raise bad_request(f"{name}: the length must be no more than {longest}.", name)
        return value

    def need_text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        return self._needed(name, self.text(name, longest))

    def choice(self, name: str, *choices: str) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            raise bad_request(f"The selected {name} is invalid.", name)
        return value

    def flag(self, name: str) -> bool | None:
        value = self.value(name)
        if value is None or value == "":
            return None
        for truth, spellings in ((True, ("1", "true")), (False, ("0", "false"))):
            if isinstance(value, bool | int | str) and str(value).lower() in spellings:
                return truth
        raise bad_request(f"The {name} field must be true or false.", name)

    def notes(self) -> dict[str, str] | None:
        value = self.value("notes")
        if value is None:
            return None
        if value in ([], ""):
            return {}
        if not isinstance(value, dict):
            raise bad_request("The notes must be an array.", "notes")
        if len(value) > MOST_NOTES:
            raise bad_request(
                f"Number of fields in notes should be less than or equal to {MOST_NOTES}.", "notes"
            )
        notes = {}
        for key, note in value.items():
            if isinstance(note, dict | list):
                raise bad_request("The notes values themselves should not be an array", "notes")
            text = (
                note
                if isinstance(note, str)
                else ""
                if note is None
                else msgspec.json.encode(note).decode()
            )
            if len(key) > LONGEST_NOTE or len(text) > LONGEST_NOTE:
                raise bad_request(
                    f"Notes value should not exceed {LONGEST_NOTE} characters.", "notes"
                )
            notes[key] = text
        return notes

    def need_notes(self) -> dict[str, str]:
        return self._needed("notes", self.notes())

    def object(self, name: str) -> "Fields | None":
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise bad_request(f"The {name} must be an object.", name)
        return Fields(value)

    def expand(self, *known: str) -> frozenset[str]:
        value = self.value("expand")
        names = [] if value is None else value if isinstance(value, list) else [value]
        for name in names:
            if name not in known:
                raise bad_request(f"{str(name)[:100]} is not a valid expand value", "expand")
        return frozenset(names)

    def _needed(self, name: str, value: T | None) -> T:
        if value is None:
            raise bad_request(f"The {name} field is required.", name)
        return value


class Page(msgspec.Struct, frozen=True):
    """Which part of a list to give, and from which span of Unix seconds."""

    start: int
    end: int
    count: int
    skip: int

    @classmethod
    def of(cls, query: Fields, most: int = 100, default: int = 10) -> "Page":
        count = query.integer("count")
        if count is not None and count > most:
            raise bad_request(f"The count may not be greater than {most}.", "count")
        if count is not None and count < 1:
            raise bad_request("The count must be at least 1.", "count")
        skip = query.integer("skip") or 0
        if skip < 0:
            raise bad_request("The skip must be at least 0.", "skip")
        start, end = query.integer("from"), query.integer("to")
        for name, bound in (("from", start), ("to", end)):
            if bound is not None and not EARLIEST <= bound <= LATEST:
                raise bad_request(f"{name} must be between {EARLIEST} and {LATEST}", name)
        return cls(start or 0, end or LATEST, count or default, skip)


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Unfold PHP-style names: `notes[a]=1` is an object, `expand[]=a` and `expand[0]=a` a list."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        head, bracket, rest = name.partition("[")
        if not bracket or not rest.endswith("]"):
            found[name] = value
            continue
        key = rest[:-1]
        if not key or key.isdecimal():
            held = found.setdefault(head, [])
            if isinstance(held, list):
                held.append(value)
        else:
            held = found.setdefault(head, {})
            if isinstance(held, dict):
                held[key] = value
    return found
