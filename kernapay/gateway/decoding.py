"""Decode what the gateway sends, in answers and in events alike: lenient about form, strict about money.

Razorpay's fields are loosely typed: a flag may come as text, a time as null or text, a fee with a decimal point, and
texts with half of an emoji. What is certain is taken. An amount is never guessed: 118.0 is 118, and 118.5 is refused.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from kernapay.core.patterns import DECODE_ERRORS

T = TypeVar("T")

# Razorpay: the bounds of every time that it takes, in Unix seconds.
_FIRST_SECOND: Final = 946_684_800
_LAST_SECOND: Final = 4_765_046_400
_UNKNOWN_TIME: Final = 0
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False, "": False}
_LONGEST_NUMBER: Final = 18  # digits, which fit into 64 bits
_LARGEST_AMOUNT: Final = 2**53  # up to here a decimal point loses nothing
Fit = Callable[[Any], Any]


class Unreadable(ValueError):
    """The text is no JSON, or an entity in it lacks what it must have."""


def read_json(body: bytes) -> Any:
    """Decode JSON. Halves of surrogate pairs, and bytes that are not UTF-8, become U+FFFD. Raises Unreadable."""
    try:
        return msgspec.json.decode(body)
    except DECODE_ERRORS:
        pass  # it may still be readable, if more slowly
    try:
        # The standard library's decoder takes halves of surrogate pairs, and NaN, which is no number.
        text = body.decode("utf-8-sig", "replace")
        return _repair(json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        raise Unreadable("The text is not JSON.") from error


def read_entity(document: Any, kind: type[T]) -> T:
    """Convert a decoded document to a struct, whose nested structs are read in the same way. Raises Unreadable.

    A field whose name ends in `_at` or `_by` is a time in Unix seconds, 0 if it cannot be read. Every other integer is
    an amount.
    """
    try:
        return msgspec.convert(_fitter_of(kind)(document), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def _fitter(kind: inspect.Type, name: str = "") -> Fit:
    """Return a function that converts a value to its type. An ambiguous value stays as it is and is refused later.

    `name` is the name of the field.
    """
    match kind:
        case inspect.Metadata():
            return _fitter(kind.type, name)
        case inspect.UnionType():
            return _fitter_of_optional(kind, name)
        case inspect.StructType():
            return _fitter_of_struct(kind)
        case inspect.BoolType():
            return _fit_flag
        case inspect.IntType():
            return _fit_time if name.endswith(("_at", "_by")) else _fit_amount
    return _leave


_fitter_of: Final[Callable[[Any], Fit]] = cache(lambda kind: _fitter(inspect.type_info(kind)))


def _fitter_of_optional(kind: inspect.UnionType, name: str) -> Fit:
    others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    if len(others) != 1 or len(others) == len(kind.types):
        return _leave
    if isinstance(others[0], inspect.StrType):
        # An id decides whose the money is, so only what stands for "none" is taken: PHP's encoder writes these.
        is_telling = name.endswith("_id") or name == "receipt"
        return _fit_telling_text if is_telling else _fit_text
    fit = _fitter(others[0], name)
    return lambda value: None if value is None else fit(value)


def _fitter_of_struct(kind: inspect.StructType) -> Fit:
    fields = [
        (
            field.encode_name,
            _fitter(field.type, field.encode_name),
            # For these, null stands for the default.
            not field.required and not _may_be_none(field.type),
        )
        for field in kind.fields
    ]

    def fit_struct(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fitted = {}
        for name, fit, has_default in fields:
            if name in value:
                each = fit(value[name])
                if each is not None or not has_default:
                    fitted[name] = each
        return fitted

    return fit_struct


def _may_be_none(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.UnionType) and kind.includes_none


def _leave(value: Any) -> Any:
    return value


def _fit_text(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _fit_telling_text(value: Any) -> Any:
    return None if value in ([], False) else value


def _fit_flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return _FLAGS.get(str(value).lower(), value) if isinstance(value, str | int) else value


def _fit_amount(value: Any) -> Any:
    is_whole = isinstance(value, float) and value.is_integer()
    if is_whole or (isinstance(value, str) and _is_number(value)):
        value = int(value)
    if type(value) is int and abs(value) > _LARGEST_AMOUNT:
        raise Unreadable("An amount is out of range.")
    return value


def _fit_time(value: Any) -> int:
    seconds: Any = value
    if isinstance(value, str):
        seconds = int(value) if _is_number(value) else _read_instant(value)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return _UNKNOWN_TIME
    return int(seconds) if _FIRST_SECOND <= seconds <= _LAST_SECOND else _UNKNOWN_TIME


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def _read_instant(text: str) -> int | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else int(instant.timestamp())


def _repair(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_repair(each) for each in value]
    if isinstance(value, dict):
        return {_repair(name): _repair(each) for name, each in value.items()}
    return value
