"""Text as it comes from outside: bounded, and without characters that only do harm."""

from typing import Annotated, Final

from msgspec import Meta, MsgspecError

DECODE_ERRORS: Final = (MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises: also over bytes that are no UTF-8, and over brackets by the thousand."""

_MEANINGS: Final[dict[str, str]] = {}


def explain(pattern: str, meaning: str) -> str:
    """Say in words what a pattern asks for, for the people who read the refusal; gives the pattern."""
    # Python's `$` fits before a last line break as well; other languages read this the same way.
    pattern = pattern.removesuffix("$") + r"$(?!\n)"
    _MEANINGS[pattern] = meaning
    return pattern


def meaning_of(pattern: str) -> str | None:
    """Give the words for a pattern, as in "Must be …"."""
    return _MEANINGS.get(pattern)


# No control characters (NUL breaks bcrypt and BSON keys) and no lone surrogates (they have no UTF-8).
PRINTABLE: Final = explain(
    r"^[^\x00-\x1f\x7f\ud800-\udfff]*$", "one line of text without control characters"
)
_NOT_BLANK: Final = explain(
    r"^[^\x00-\x1f\x7f\ud800-\udfff]*[^\s\x00-\x1f\x7f\ud800-\udfff][^\x00-\x1f\x7f\ud800-\udfff]*$",
    "one line of text, not blank, without control characters",
)
NAME: Final = explain(r"^[A-Za-z0-9_.:-]+$", "made of letters, digits and . _ : - only")

Line = Annotated[str, Meta(min_length=1, max_length=100, pattern=_NOT_BLANK)]
"""One line of text that says something."""
Label = Annotated[str, Meta(max_length=256, pattern=PRINTABLE)]
"""One line of text, possibly empty."""
Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=NAME)]
"""A name given by a program."""
