"""The number under which a business is registered for India's goods and services tax (GSTIN)."""

import re
from typing import Final

# GST: the state's code, the PAN, the number of the registration in that state, a Z, and a check character.
_FORM: Final = re.compile(
    r"(?:0[1-9]|[12][0-9]|3[0-8]|9[79])[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]", re.ASCII
)
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def normalise_gstin(text: str) -> str | None:
    """Return a GSTIN in capitals, None if its form or its check character is wrong."""
    gstin = text.strip().upper()
    if not _FORM.fullmatch(gstin) or _check_character(gstin[:-1]) != gstin[-1]:
        return None
    return gstin


def _check_character(body: str) -> str:
    """Return the check character, which makes the sum of the digits of all weighted values a multiple of 36."""
    size = len(_ALPHABET)
    total = 0
    for place, character in enumerate(body):
        total += sum(divmod(_ALPHABET.index(character) * (1 + place % 2), size))
    return _ALPHABET[-total % size]
