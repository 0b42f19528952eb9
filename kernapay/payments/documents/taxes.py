"""Split a price by India's tax on goods and services (GST).

Prices include the tax. Within the seller's state, half of it is CGST and half is SGST; otherwise all of it is IGST.
Amounts are in paise.
"""

from typing import Final, NamedTuple

_WHOLE: Final = 10_000
# The codes with which a GSTIN begins.
STATES: Final = {
    "01": "Jammu and Kashmir",
    "02": "Himachal Pradesh",
    "03": "Punjab",
    "04": "Chandigarh",
    "05": "Uttarakhand",
    "06": "Haryana",
    "07": "Delhi",
    "08": "Rajasthan",
    "09": "Uttar Pradesh",
    "10": "Bihar",
    "11": "Sikkim",
    "12": "Arunachal Pradesh",
    "13": "Nagaland",
    "14": "Manipur",
    "15": "Mizoram",
    "16": "Tripura",
    "17": "Meghalaya",
    "18": "Assam",
    "19": "West Bengal",
    "20": "Jharkhand",
    "21": "Odisha",
    "22": "Chhattisgarh",
    "23": "Madhya Pradesh",
    "24": "Gujarat",
    "26": "Dadra and Nagar Haveli and Daman and Diu",
    "27": "Maharashtra",
    "29": "Karnataka",
    "30": "Goa",
    "31": "Lakshadweep",
    "32": "Kerala",
    "33": "Tamil Nadu",
    "34": "Puducherry",
    "35": "Andaman and Nicobar Islands",
    "36": "Telangana",
    "37": "Andhra Pradesh",
    "38": "Ladakh",
}
# Territories without a parliament of their own: the other half is theirs (UTGST).
_TERRITORIES: Final = frozenset(["04", "26", "31", "35", "38"])
_CODES: Final = {name.casefold(): code for code, name in STATES.items()}


class Tax(NamedTuple):
    name: str
    """With its rate, such as `CGST 9 %`."""
    amount: int


class Split(NamedTuple):
    """A price as its value before tax, the taxes, and the rounding difference."""

    value: int
    taxes: tuple[Tax, ...]
    rounding: int

    @property
    def total(self) -> int:
        return self.value + sum(tax.amount for tax in self.taxes) + self.rounding


def state_of(gstin: str | None, state: str | None) -> str | None:
    """Return the code of the state of a buyer: by the GSTIN, else by the state in the address. None if unknown."""
    if gstin is not None and gstin[:2] in STATES:
        return gstin[:2]
    text = (state or "").strip().casefold()
    return text if text in STATES else _CODES.get(text)


def split(total: int, rate: int, home: str, place: str) -> Split:
    """Split a price that includes tax.

    `rate` is in hundredths of a percent; `home` is the seller's state, and `place` the state of the supply. Each
    tax is that rate of the value, rounded half up, so that it can be checked; the difference to the price is named.
    """
    value = _divide(total * _WHOLE, _WHOLE + rate)
    if home == place:
        other = "UTGST" if place in _TERRITORIES else "SGST"
        half = _divide(value * rate, 2 * _WHOLE)
        taxes = [Tax(f"{name} {_percent(rate, 2)}", half) for name in ("CGST", other)]
    else:
        taxes = [Tax(f"IGST {_percent(rate, 1)}", _divide(value * rate, _WHOLE))]
    return Split(value, tuple(taxes), total - value - sum(tax.amount for tax in taxes))


def part_of(whole: Split, before: int, amount: int) -> Split:
    """Return the part of a split price that goes back with a refund of `amount`, after refunds of `before`.

    All parts of a price add up to it exactly, whatever their order: each takes what is due up to its end.
    """
    return _minus(_up_to(whole, before + amount), _up_to(whole, before))


def _up_to(whole: Split, amount: int) -> Split:
    """Return the share of the first `amount` of a price."""
    share = whole.total or 1
    value = _divide(whole.value * amount, share)
    taxes = tuple(tax._replace(amount=_divide(tax.amount * amount, share)) for tax in whole.taxes)
    return Split(value, taxes, amount - value - sum(tax.amount for tax in taxes))


def _minus(one: Split, other: Split) -> Split:
    taxes = tuple(
        tax._replace(amount=tax.amount - less.amount)
        for tax, less in zip(one.taxes, other.taxes, strict=True)
    )
    return Split(one.value - other.value, taxes, one.rounding - other.rounding)


def _divide(number: int, by: int) -> int:
    """Return the quotient of two numbers of at least 0, rounded half up."""
    return (2 * number + by) // (2 * by)


def _percent(rate: int, parts: int) -> str:
    # Halves of a rate have three decimals at most: 0.25 % is twice 0.125 %.
    text = f"{rate / parts / 100:.3f}".rstrip("0").rstrip(".")
    return f"{text}%"
