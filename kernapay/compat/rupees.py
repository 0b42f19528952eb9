"""Convert between rupees, the Express service's unit, and paise. No other module does so."""

import re
from decimal import Decimal
from typing import Final

from msgspec import Raw

from kernapay.core.errors import InvalidInput
from kernapay.payments.currencies import exponent

# The Express service took a number in quotes as well.
_NUMBER: Final = re.compile(rb'("?)([0-9]{1,13})(?:\.([0-9]{1,2}))?\1')
_WORDS: Final = "Must be rupees: a number above 0 with at most two decimals, such as 500 or 499.50."
# How KernaPay's own sentences name an amount, and how they explain the unit.
_PAISE: Final = re.compile(r"[0-9]+ paise \((₹[0-9,.]+)\)")
_UNIT: Final = re.compile(r" Amounts are in paise: for ₹[0-9,.]+, send [0-9]+\.")


def to_paise(rupees: Raw) -> int:
    """Return an amount of rupees in paise. It is the JSON text, so that nothing is rounded.

    Raises InvalidInput, naming `amount`.
    """
    match = _NUMBER.fullmatch(bytes(rupees).strip())
    paise = int(match[2]) * 100 + int((match[3] or b"").ljust(2, b"0")) if match else 0
    if paise == 0:
        raise InvalidInput(_WORDS, field="amount")
    return paise


def to_rupees(amount: int, currency: str) -> int | Decimal:
    """Return minor units in major units such as rupees, as a Decimal unless that is a whole number."""
    places = exponent(currency)
    whole, rest = divmod(amount, 10**places)
    return Decimal(amount).scaleb(-places) if rest else whole


def in_rupees(text: str) -> str:
    """Replace the amounts in a message of KernaPay by rupees."""
    return _PAISE.sub(r"\1", _UNIT.sub("", text))
