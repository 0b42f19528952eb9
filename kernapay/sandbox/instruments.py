"""Razorpay's test cards, addresses and banks, and what happens to who pays with them."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from kernapay.sandbox.entities import Card, Failure
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.ids import new_id

METHODS: Final = ("card", "upi", "netbanking", "wallet")
BANKS: Final[Mapping[str, str]] = {
    "HDFC": "HDFC Bank",
    "ICIC": "ICICI Bank",
    "SBIN": "State Bank of India",
    "UTIB": "Axis Bank",
    "KKBK": "Kotak Mahindra Bank",
    "YESB": "Yes Bank",
}
WALLETS: Final[Mapping[str, str]] = {
    "mobikwik": "MobiKwik",
    "airtelmoney": "Airtel Money",
    "freecharge": "Freecharge",
    "olamoney": "Ola Money",
    "phonepe": "PhonePe",
}
NETWORKS: Final = (
    (("34", "37"), "American Express"),
    (("36", "38", "30"), "Diners Club"),
    (("60", "65", "81", "82", "508"), "RuPay"),
    (("51", "52", "53", "54", "55", "2"), "MasterCard"),
    (("4",), "Visa"),
)
FOREIGN_CARDS: Final = frozenset({"5555555555554444", "4012888888881881"})


def declined(
    reason: str,
    description: str,
    *,
    code: str = "BAD_REQUEST_ERROR",
    source: str = "bank",
    step: str = "payment_authorization",
) -> Failure:
    return Failure(code=code, description=description, source=source, step=step, reason=reason)


FAILURES: Final[Mapping[str, Failure]] = {
    failure.reason: failure
    for failure in (
        declined("payment_failed", "Payment failed"),
        declined(
            "payment_timed_out",
            "The payment was not completed in time. Try again.",
            source="customer",
            step="payment_authentication",
        ),
        declined(
            "payment_cancelled",
            "The payment was cancelled by the customer.",
            source="customer",
            step="payment_authentication",
        ),
        declined("insufficient_fund", "The account does not have enough money.", source="customer"),
        declined("card_declined", "The card was declined by its bank.", source="issuer"),
        declined(
            "card_disabled_for_online_payments",
            "The card is not enabled for online payments.",
            source="customer",
        ),
        declined(
            "card_number_invalid",
            "The card number is not valid.",
            source="customer",
            step="payment_initiation",
        ),
        declined(
            "gateway_technical_error",
            "Payment processing failed due to error at bank/wallet gateway",
            code="GATEWAY_ERROR",
            source="gateway",
        ),
        declined(
            "authentication_failed",
            "The customer could not be authenticated by the bank.",
            code="GATEWAY_ERROR",
            source="gateway",
            step="payment_authentication",
        ),
        declined(
            "incorrect_otp",
            "The one-time password is not correct.",
            source="customer",
            step="payment_authentication",
        ),
    )
}
DECLINED_CARDS: Final[Mapping[str, str]] = {
    "4100280000090000": "payment_timed_out",
    "4100280000080001": "insufficient_fund",
    "4100280000070002": "payment_cancelled",
    "4100280000060003": "card_declined",
    "4100280000050004": "card_declined",
    "4100280000040005": "card_declined",
    "4100280000030006": "card_disabled_for_online_payments",
    "4100280000010008": "card_number_invalid",
    "4100280000020007": "gateway_technical_error",
    "4100280000000009": "authentication_failed",
}
GOOD_CARD: Final = "4100280000001007"
GOOD_VPA, BAD_VPA = "success@razorpay", "failure@razorpay"


class Instrument(Struct, kw_only=True):
    """What a customer pays with. `declined_as` says how it will end, None: well."""

    method: str
    card: Card | None = None
    vpa: str | None = None
    bank: str | None = None
    wallet: str | None = None
    declined_as: Failure | None = None


def choose(
    method: str,
    *,
    number: str | None = None,
    holder: str | None = None,
    vpa: str | None = None,
    bank: str | None = None,
    wallet: str | None = None,
) -> Instrument:
    """Return the instrument, with what is missing filled in; raise RazorpayError if unusable."""
    if method == "card":
        digits = (number or GOOD_CARD).replace(" ", "").replace("-", "")
        reason = DECLINED_CARDS.get(digits)
        return Instrument(
            method=method,
            card=card_of(digits, holder or "Test Customer"),
            declined_as=FAILURES[reason] if reason else None,
        )
    if method == "upi":
        address = vpa or GOOD_VPA
        user, at, handle = address.partition("@")
        if not (at and user and handle.isalnum()):
            raise bad_request("Invalid VPA. Please enter a valid Virtual Payment Address", "vpa")
        refused = FAILURES["payment_failed"] if address == BAD_VPA else None
        return Instrument(method=method, vpa=address, declined_as=refused)
    if method == "netbanking":
        return Instrument(method=method, bank=known("bank", bank or "HDFC", BANKS))
    if method == "wallet":
        return Instrument(method=method, wallet=known("wallet", wallet or "mobikwik", WALLETS))
    raise bad_request("The selected method is invalid.", "method")


def known(name: str, value: str, choices: Mapping[str, str]) -> str:
    if value not in choices:
        raise bad_request(f"The selected {name} is invalid.", name)
    return value


def card_of(digits: str, holder: str) -> Card:
    if not (digits.isascii() and digits.isdecimal() and 12 <= len(digits) <= 19 and luhn(digits)):
        raise bad_request("Your card number is incorrect.", "card[number]")
    international = digits in FOREIGN_CARDS
    network = next((name for starts, name in NETWORKS if digits.startswith(starts)), "Unknown")
    return Card(
        id=new_id("card"),
        name=holder,
        last4=digits[-4:],
        network=network,
        type="credit",
        issuer=None if international else "UTIB",
        international=international,
    )


def luhn(digits: str) -> bool:
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
