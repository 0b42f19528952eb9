"""Normalise text from people, and make characters visible that hide or reorder the text beside them."""

import re
import unicodedata
from typing import Final

from kernapay.core.errors import InvalidInput

CONTROLS: Final = r"\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""For a regular expression: controls beside ASCII's first, separators of lines, and what changes the direction."""

_CONTROL: Final = re.compile(f"[{CONTROLS}]")
_CONTROL_IN_UTF_8: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
_VISIBLE: Final = ("L", "N", "P", "S")
# Letters and symbols without ink: fillers of Hangul, a Braille cell without dots, a note without a head.
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159")


def normalise_name(text: str, field: str = "name") -> str:
    """Return a name in the form in which it is stored: composed characters (NFC), single spaces.

    Raises InvalidInput, naming the field, if nothing in it can be seen.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not any(unicodedata.category(each)[0] in _VISIBLE and each not in _BLANK for each in name):
        raise InvalidInput("Must have a visible character.", field=field)
    return name


def folded(text: str) -> str:
    """Return the form in which texts are compared, regardless of case, width and composition."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def digits_of(text: str) -> str:
    """Return the decimal digits in a text, of any script and width, as ASCII."""
    return "".join(str(unicodedata.decimal(each)) for each in text if each.isdecimal())


def map_width(text: str) -> str:
    """Return a text with ordinary characters in the place of full-width and half-width ones."""
    if text.isascii():
        return text
    return "".join(
        unicodedata.normalize("NFKC", each)
        if unicodedata.decomposition(each).startswith(("<wide>", "<narrow>"))
        else each
        for each in text
    )


def show_controls(text: str) -> str:
    """Return a text with `<U+202E>` in the place of a control: rows from before they were refused may have some."""
    return text if text.isascii() else _CONTROL.sub(lambda match: _name_of(match[0]), text)


def show_controls_in_json(document: bytes) -> bytes:
    """Return encoded JSON with controls shown as by `show_controls`."""
    if document.isascii():
        return document
    return _CONTROL_IN_UTF_8.sub(lambda match: _name_of(match[0].decode()).encode(), document)


def _name_of(character: str) -> str:
    return f"<U+{ord(character):04X}>"
