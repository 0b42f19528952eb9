"""Currencies: how many decimals they have, what the least amount is, and what a payment costs."""

from kernapay.sandbox.errors import bad_request

# Words in a string: a line for each of the 130 would hide the few that matter.
NO_DECIMALS = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()  # noqa: SIM905
)
THREE_DECIMALS = frozenset("BHD IQD JOD KWD OMR TND".split())  # noqa: SIM905
TWO_DECIMALS = frozenset(
    """AED ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CHF
    CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ETB EUR FJD GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG
    HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR
    MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SCR SEK SGD SLE
    SLL SOS SSP STN SVC SZL THB TMT TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD YER ZAR ZMW
    """.split()  # noqa: SIM905
)
CURRENCIES = NO_DECIMALS | TWO_DECIMALS | THREE_DECIMALS


def exponent(currency: str) -> int:
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


def check_currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise bad_request("The currency is not supported.", "currency")


def check_amount(amount: int, currency: str, most: int, field: str = "amount") -> None:
    """Refuse an amount (in minor units) that no payment in this currency may have."""
    decimals = exponent(currency)
    if amount < 10**decimals:
        least = f"{currency} 1.{'0' * decimals}" if decimals else f"{currency} 1"
        raise bad_request(f"The amount must be at least {least}", field)
    if amount > most:
        raise bad_request("Amount exceeds maximum amount allowed.", field)
    if decimals == 3 and amount % 10:
        raise bad_request(f"The last digit of an amount in {currency} must be 0.", field)


def display(amount: int, currency: str) -> str:
    decimals = exponent(currency)
    whole, rest = divmod(amount, 10**decimals)
    symbol = "₹" if currency == "INR" else f"{currency} "
    return f"{symbol}{whole:,}" + (f".{rest:0{decimals}d}" if decimals else "")


def fee_and_tax(amount: int) -> tuple[int, int]:
    """Return the fee, tax included, and the tax: 2 % of the amount and 18 % of that."""
    base = (amount * 2 + 50) // 100
    tax = (base * 18 + 50) // 100
    return base + tax, tax
