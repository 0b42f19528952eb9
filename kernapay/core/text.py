"""Text as it comes from outside: bounded, and without characters that only do harm."""

from typing import Annotated, Final

from msgspec import Meta

# No control characters (NUL breaks bcrypt and BSON keys) and no lone surrogates (they have no UTF-8).
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f\ud800-\udfff]*$"
_NOT_BLANK: Final = (
    r"^[^\x00-\x1f\x7f\ud800-\udfff]*[^\s\x00-\x1f\x7f\ud800-\udfff][^\x00-\x1f\x7f\ud800-\udfff]*$"
)

Line = Annotated[str, Meta(min_length=1, max_length=100, pattern=_NOT_BLANK)]
"""One line of text that says something."""
Label = Annotated[str, Meta(max_length=256, pattern=_PRINTABLE)]
"""One line of text, possibly empty."""
Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
"""A name given by a program."""
