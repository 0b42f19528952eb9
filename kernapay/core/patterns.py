"""Types for text from clients: bounded, without harmful characters, and with words for error messages."""

from typing import Annotated, Final

from msgspec import Meta, MsgspecError

from kernapay.core.text import CONTROLS

DECODE_ERRORS: Final = (MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec's decoder raises. The last two come from bytes that are not UTF-8, and from very deep nesting."""

WORDS: Final = "must_be"
"""The key of `Meta.extra` that holds what `must_be` was given."""

_MEANINGS: Final[dict[str, str]] = {}


def explain(pattern: str, meaning: str) -> str:
    """Register the words for a pattern, as in "Must be {meaning}.", and return the pattern."""
    # Python's `$` also matches before a final line break. In other languages the lookahead changes nothing.
    pattern = pattern.removesuffix("$") + r"$(?!\n)"
    _MEANINGS[pattern] = meaning
    return pattern


def meaning_of(pattern: str) -> str | None:
    """Return what `explain` registered for a pattern."""
    return _MEANINGS.get(pattern)


def must_be(words: str) -> dict[str, str]:
    """Return the `Meta.extra` that gives a type's errors their words, as in "Must be {words}."."""
    return {WORDS: words}


# NUL breaks bcrypt and BSON keys. Lone surrogates cannot be encoded as UTF-8.
_REFUSED: Final = rf"\x00-\x1f{CONTROLS}\ud800-\udfff"
PRINTABLE: Final = explain(rf"^[^{_REFUSED}]*$", "one line of text without control characters")
NOT_BLANK: Final = explain(
    rf"^[^{_REFUSED}]*[^\s{_REFUSED}][^{_REFUSED}]*$",
    "one line of text, not blank, without control characters",
)
# Line breaks and tabs stay allowed: some programs make passwords with them.
SECRET: Final = explain(
    rf"^[^\x00{CONTROLS}\ud800-\udfff]*$",
    "text without NUL and without characters that reorder or break it",
)
NAME: Final = explain(r"^[A-Za-z0-9_.:-]+$", "made of letters, digits and . _ : - only")

Line = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
"""One line of text, not blank."""
Label = Annotated[str, Meta(max_length=256, pattern=PRINTABLE)]
"""One line of text, possibly empty."""
Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=NAME)]
"""A name that a program chose."""
