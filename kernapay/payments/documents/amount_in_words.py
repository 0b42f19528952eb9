"""Write amounts in words, as documents in India do: in lakhs and crores."""

from typing import Final

from kernapay.payments.currencies import exponent

_SMALL: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_UNITS: Final = ((10**7, "crore"), (10**5, "lakh"), (10**3, "thousand"), (10**2, "hundred"))


def spell(number: int) -> str:
    """Return a number of at least 0 in words: 120000 is `one lakh twenty thousand`."""
    for unit, name in _UNITS:
        if number >= unit:
            count, rest = divmod(number, unit)
            return f"{spell(count)} {name}" + (f" {spell(rest)}" if rest else "")
    if number < len(_SMALL):
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")


def spell_amount(amount: int, currency: str) -> str:
    """Return an amount of at least 0, in minor units, in words."""
    places = exponent(currency)
    whole, rest = divmod(amount, 10**places)
    if currency != "INR":
        return f"{currency} {spell(whole)}" + (
            f" and {rest:0{places}}/{10**places}" if rest else ""
        )
    if not whole:
        return f"Paise {spell(rest)} only"
    return f"Rupees {spell(whole)}" + (f" and paise {spell(rest)}" if rest else "") + " only"
