"""Describe errors in fields for people.

The decoder's own messages name Python types and repeat the value. Ours say what the field takes; the words come from
the type that was decoded into.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import inspect

from kernapay.core import patterns
from kernapay.core.clock import INSTANT_EXAMPLE

_PLACE: Final = re.compile(r" - at (`key` in )?`\$([^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(?:\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
# Litestar passes on a KeyError when a parameter is missing.
_ABSENT: Final = re.compile(r"'\w+'")
_LENGTH: Final = re.compile(r"Expected `(str|array|object)` of length ([<>])= (\d+)")
_BOUND: Final = re.compile(r"Expected `(?:int|float)` ([<>])= (\S+)")
_LIMITS: Final = {">": "at least", "<": "at most"}
_UNIT: Final = {"str": "character", "array": "item", "object": "entry"}
_UNITS: Final = {"str": "characters", "array": "items", "object": "entries"}
_WORDS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "an integer",
    inspect.FloatType: "a number",
    inspect.DateTimeType: f"a time such as {INSTANT_EXAMPLE}",
    inspect.ListType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.VarTupleType: "a list",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}
_ITEM: Final = "[]"
_KEY: Final = "key"


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field."""

    field: Annotated[str, msgspec.Meta(examples=["amount"])]
    message: Annotated[str, msgspec.Meta(examples=["Must be at least 1."])]


def field_error(message: str, kind: Any, name: str = "") -> FieldError:
    """Translate the decoder's message into a field and a sentence that says what the field takes.

    `kind` is the type that was decoded into. `name` is the name of the parameter; empty for a body.
    """
    place = _PLACE.search(message)
    path = place[2] if place else ""
    complaint = message[: place.start()] if place else message
    field = (name + path).replace("[...]", "").removeprefix(".")
    if hit := _UNKNOWN.fullmatch(complaint):
        return FieldError(_inner(field, hit[1]), "Unknown field.")
    if hit := _MISSING.fullmatch(complaint):
        return FieldError(_inner(field, hit[1]), "Required.")
    if _ABSENT.fullmatch(complaint):
        return FieldError(field or "body", "Required.")
    steps = [step[1] or _ITEM for step in _STEP.finditer(path)]
    subject = "each value " if path.endswith("[...]") else ""
    if place and place[1]:
        steps.append(_KEY)
        subject = "each name "
    sentence = subject + (_limit(complaint) or _demand(_type_at(_type_info(kind), steps)))
    return FieldError(field or "body", f"{sentence[0].upper()}{sentence[1:]}.")


def _inner(outer: str, name: str) -> str:
    return f"{outer}.{name}" if outer else name


def _limit(complaint: str) -> str | None:
    """Return the violated limit in words, if the decoder's message is about one. The numbers are the type's own."""
    if hit := _LENGTH.fullmatch(complaint):
        units = _UNIT if hit[3] == "1" else _UNITS
        return f"must have {_LIMITS[hit[2]]} {hit[3]} {units[hit[1]]}"
    if hit := _BOUND.fullmatch(complaint):
        return f"must be {_LIMITS[hit[1]]} {hit[2]}"
    return None


def _demand(kind: inspect.Type) -> str:
    words = _words(kind)
    return f"must be {words}" if words else "must have the documented format"


def _words(kind: inspect.Type) -> str:
    """Return what a value of the type must be, such as "an integer". Empty for an unknown type."""
    match kind:
        case inspect.Metadata(extra={patterns.WORDS: str(words)}):
            return words
        case inspect.Metadata():
            return _words(kind.type)
        case inspect.UnionType():
            return _alternatives([_words(each) for each in kind.types])
        case inspect.EnumType():
            return f"one of: {', '.join(str(member.value) for member in kind.cls)}"
        case inspect.LiteralType():
            return f"one of: {', '.join(map(str, kind.values))}"
        case inspect.StrType(pattern=None):
            return "text"
        case inspect.StrType(pattern=str(pattern)):
            return patterns.meaning_of(pattern) or "text in the documented format"
    return _WORDS.get(type(kind), "")


def _alternatives(words: list[str]) -> str:
    *others, last = dict.fromkeys(each for each in words if each)
    return f"{', '.join(others)} or {last}" if others else last


@lru_cache
def _type_info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _type_at(kind: inspect.Type, steps: list[str]) -> inspect.Type:
    for step in steps:
        kind = next(_types_at(kind, step), inspect.AnyType())
    return kind


def _types_at(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """Yield the types that one step of the decoder's path leads to."""
    match kind:
        case inspect.Metadata():
            yield from _types_at(kind.type, step)
        case inspect.UnionType():
            for each in kind.types:
                yield from _types_at(each, step)
        case inspect.DictType() if step == _KEY:
            yield kind.key_type
        case inspect.DictType() if step == _ITEM:
            yield kind.value_type
        case inspect.StructType():
            yield from (field.type for field in kind.fields if field.encode_name == step)
        case (
            inspect.ListType()
            | inspect.SetType()
            | inspect.FrozenSetType()
            | inspect.VarTupleType()
        ):
            yield kind.item_type
