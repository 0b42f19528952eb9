"""Currencies with their decimals and limits, and the fees of payments and transfers. Amounts are in minor units."""

from kernapay.sandbox.errors import bad_request

# Razorpay's list of currencies. Strings, because 130 lines would hide the few exceptions.
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
RUPEES = 83
CURRENCIES = NO_DECIMALS | TWO_DECIMALS | THREE_DECIMALS


def decimals_of(currency: str) -> int:
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


def check_currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise bad_request("The currency is not supported.", "currency")


def check_amount(amount: int, currency: str, maximum: int, field: str = "amount") -> None:
    """Raise RazorpayError unless a payment in this currency can have this amount.

    Razorpay: at least one major unit, and of three decimals the last must be 0.
    """
    decimals = decimals_of(currency)
    if amount < 10**decimals:
        minimum = f"{currency} 1.{'0' * decimals}" if decimals else f"{currency} 1"
        raise bad_request(f"The amount must be at least {minimum}", field)
    if amount > maximum:
        raise bad_request("Amount exceeds maximum amount allowed.", field)
    if decimals == 3 and amount % 10:
        raise bad_request(f"The last digit of an amount in {currency} must be 0.", field)


def format_amount(amount: int, currency: str) -> str:
    decimals = decimals_of(currency)
    major, minor = divmod(amount, 10**decimals)
    symbol = "₹" if currency == "INR" else f"{currency} "
    return f"{symbol}{major:,}" + (f".{minor:0{decimals}d}" if decimals else "")


def base_amount(amount: int, currency: str) -> int:
    """Return an amount in paise, by one rate for all: 83 rupees for one of any other currency."""
    if currency == "INR":
        return amount
    units: int = 10 ** decimals_of(currency)
    return amount * RUPEES * 100 // units


def fee_and_tax(amount: int) -> tuple[int, int]:
    """Return the fee, which includes the tax, and the tax.

    The fee is 2 % of the amount and the tax 18 % of that, as in Razorpay's samples.
    """
    base_fee = (amount * 2 + 50) // 100
    tax = (base_fee * 18 + 50) // 100
    return base_fee + tax, tax


def transfer_fee(amount: int) -> tuple[int, int]:
    """Return the fee, which includes the tax, and the tax, in paise.

    Razorpay: 0.25 %, and on it 9 % for the country and 9 % for the state, each rounded, as in its samples.
    """
    base = (amount * 25 + 9_999) // 10_000
    tax = 2 * ((base * 9 + 50) // 100)
    return base + tax, tax
