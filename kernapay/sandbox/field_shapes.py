"""Read nested fields by a description of how they must look."""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.fields import Fields


class Text(Struct, frozen=True, kw_only=True):
    """A text of so many characters. `words` is what Razorpay says if it does not look like the pattern."""

    shortest: int = 1
    longest: int = 255
    pattern: re.Pattern[str] | None = None
    words: str | None = None
    is_required: bool = False


class Flag(Struct, frozen=True):
    """True or false."""


class Percentage(Struct, frozen=True):
    """A number from 0 to 100 with at most two decimals."""


class Texts(Struct, frozen=True):
    """A list of texts with this shape."""

    item: Text


class Group(Struct, frozen=True, kw_only=True):
    """An object with these fields, or a list of such objects."""

    parts: "Shape"
    is_required: bool = False
    is_list: bool = False


Shape: TypeAlias = Mapping[str, Text | Flag | Percentage | Texts | Group]
"""By name, how a field must look."""


def read(fields: Fields, shape: Shape, *, is_new: bool) -> dict[str, Any]:
    """Return the fields that are there. Raise RazorpayError if one is invalid.

    Only a new object needs those that are required.
    """
    values = {}
    for name, spec in shape.items():
        value = _read_one(fields, name, spec, is_new)
        if value is not None:
            values[name] = value
        elif is_new and isinstance(spec, Text | Group) and spec.is_required:
            raise bad_request(f"The {name} field is required.", name)
    return values


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the old object with the new one's fields, inside of its objects too. Lists are replaced."""
    merged = dict(old)
    for name, value in new.items():
        before: Any = merged.get(name)
        are_objects = isinstance(before, dict) and isinstance(value, dict)
        merged[name] = merge(before, value) if are_objects else value
    return merged


def _read_one(
    fields: Fields, name: str, spec: Text | Flag | Percentage | Texts | Group, is_new: bool
) -> Any:
    match spec:
        case Text():
            return _read_text(fields, name, spec)
        case Flag():
            return fields.flag(name)
        case Percentage():
            return _read_percentage(fields, name)
        case Texts():
            return _read_texts(fields, name, spec.item)
        case Group(is_list=True):
            objects = fields.objects(name)
            return None if objects is None else [_read_part(o, spec, is_new) for o in objects]
        case Group():
            # PHP writes an empty object as an empty list.
            part = None if fields.value(name) == [] else fields.object(name)
            return None if part is None else _read_part(part, spec, is_new)


def _read_part(part: Fields, spec: Group, is_new: bool) -> dict[str, Any]:
    values = read(part, spec.parts, is_new=is_new)
    part.reject_unread()
    return values


def _read_text(fields: Fields, name: str, spec: Text) -> str | None:
    value = fields.value(name)
    # Razorpay's own samples write phone numbers, postal codes and bank accounts as numbers too.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and 0 <= value < 10**20:
        value = str(value)
    else:
        value = fields.text(name, spec.longest)
    return None if value is None else check_text(value, name, spec)


def check_text(value: str, name: str, spec: Text) -> str:
    """Return the text. Raise RazorpayError if it is too short, too long, or does not look like the pattern."""
    if len(value) < spec.shortest:
        raise bad_request(
            spec.words or f"The {name} must be at least {spec.shortest} characters.", name
        )
    if len(value) > spec.longest:
        words = spec.words or f"{name}: the length must be no more than {spec.longest}."
        raise bad_request(words, name)
    if spec.pattern is not None and not spec.pattern.fullmatch(value):
        raise bad_request(spec.words or f"The {name} format is invalid.", name)
    return value


def _read_texts(fields: Fields, name: str, item: Text) -> list[str] | None:
    texts = fields.texts(name)
    return None if texts is None else [check_text(text, name, item) for text in texts]


def _read_percentage(fields: Fields, name: str) -> int | float | None:
    value = fields.value(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?", value, re.ASCII):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 100 or round(value, 2) != value:
        raise bad_request(f"The {name} format is invalid.", name)
    return int(value) if value == int(value) else float(value)
