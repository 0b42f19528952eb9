"""Currencies: how many decimals, and the smallest charge, both as Razorpay counts them.

Source: Razorpay, International Payments, supported currencies.
"""

from typing import Final

_NO_DECIMALS: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE_DECIMALS: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "OMR", "TND"])


def exponent(currency: str) -> int:
    """How many decimals the currency has."""
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def amount_problem(amount: int, currency: str, maximum: int) -> str | None:
    """Say why an amount in minor units cannot be charged; None when it can."""
    places = exponent(currency)
    if amount < 10**places:
        return f"Must be at least {10**places} (1.00 {currency})."
    if amount > maximum:
        return f"Must be at most {maximum}."
    if places == 3 and amount % 10:
        return f"The last digit must be 0 in {currency}."
    return None
