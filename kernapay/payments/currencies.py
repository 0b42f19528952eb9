"""Currencies: their decimals, the smallest charge, and amounts as people read them.

Razorpay: "International Payments" lists the supported currencies and their decimals.
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


def unusual_exponents() -> dict[str, int]:
    """Return the number of decimals of every currency that does not have two."""
    return {code: exponent(code) for code in sorted(_NO_DECIMALS | _THREE_DECIMALS)}


def exponent(currency: str) -> int:
    """Return the number of decimals of a currency."""
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def format_amount(amount: int, currency: str) -> str:
    """Return minor units as people read them: 50000 INR is `INR 500.00`."""
    places = exponent(currency)
    whole, rest = divmod(amount, 10**places)
    return f"{currency} {whole:,}" + (f".{rest:0{places}}" if places else "")


def write_amount(amount: int, currency: str) -> str:
    """Return minor units as receipts show them: 12000000 INR is `₹1,20,000.00`, and 4900 USD `USD 49.00`."""
    places = exponent(currency)
    whole, rest = divmod(abs(amount), 10**places)
    is_rupees = currency == "INR"
    digits = _group_in_lakhs(whole) if is_rupees else f"{whole:,}"
    decimals = f".{rest:0{places}}" if places else ""
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return f"{sign}{'₹' if is_rupees else f'{currency} '}{digits}{decimals}"


def _group_in_lakhs(number: int) -> str:
    """Return a number with India's separators: after three digits, then after every two."""
    head, tail = divmod(number, 1000)
    if not head:
        return str(tail)
    digits = str(head)
    first = len(digits) % 2 or 2
    pairs = [digits[:first], *(digits[place : place + 2] for place in range(first, len(digits), 2))]
    return f"{','.join(pairs)},{tail:03}"


def explain_amount(amount: int, currency: str) -> str:
    """Return minor units with their unit and as people read them: `50000 paise (₹500.00)`."""
    if currency == "INR":
        return f"{amount} paise ({format_amount(amount, currency).replace('INR ', '₹')})"
    return f"{amount} in minor units ({format_amount(amount, currency)})"


def amount_problem(amount: int, currency: str, maximum: int) -> str | None:
    """Return why an amount in minor units cannot be charged, or None when it can."""
    places = exponent(currency)
    minimum = 10**places  # Razorpay: at least one whole unit of the currency
    if amount < minimum:
        return f"Must be at least {explain_amount(minimum, currency)}."
    if amount > maximum:
        return f"Must be at most {explain_amount(maximum, currency)}."
    # Razorpay: the third decimal of such a currency must be 0.
    if places == 3 and amount % 10:
        example = explain_amount(amount - amount % 10, currency)
        return f"Must end in 0 in {currency}, for example {example}."
    return None
