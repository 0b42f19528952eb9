"""Razorpay's test cards, UPI addresses, banks and wallets, and how payments with them end."""

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
INTERNATIONAL_CARDS: Final = frozenset(
    {"5555555555554444", "5105105105105100", "5104060000000008", "4012888888881881"}
)


def failure(
    reason: str,
    description: str,
    *,
    code: str = "BAD_REQUEST_ERROR",
    source: str = "bank",
    step: str = "payment_authorization",
) -> Failure:
    return Failure(code=code, description=description, source=source, step=step, reason=reason)


# Razorpay's words where its page of test cards has them. Code and reason stand there too; source and step do not.
FAILURES: Final[Mapping[str, Failure]] = {
    item.reason: item
    for item in (
        failure("payment_failed", "Payment failed"),
        failure(
            "payment_timed_out",
            "Your payment could not be completed due to a temporary issue. Try again later.",
            source="customer",
            step="payment_authentication",
        ),
        failure(
            "payment_cancelled",
            "Your payment has been cancelled. Try again or complete the payment later.",
            source="customer",
            step="payment_authentication",
        ),
        failure(
            "insufficient_fund",
            "Your payment could not be completed due to insufficient account balance. "
            "Try another card or payment method.",
            source="customer",
        ),
        failure(
            "card_declined",
            "Your payment did not go through as it was declined by the bank. "
            "Try another payment method or contact your bank.",
            source="issuer",
        ),
        failure(
            "card_disabled_for_online_payments",
            "Your card is disabled for online payments. "
            "Please reach to your bank or try with another card.",
            source="customer",
        ),
        failure(
            "card_number_invalid",
            "You have entered an incorrect card number. Try again.",
            source="customer",
            step="payment_initiation",
        ),
        failure(
            "gateway_technical_error",
            "Your payment did not go through due to a temporary issue. "
            "Any debited amount will be refunded in 4-5 business days.",
            code="GATEWAY_ERROR",
            source="gateway",
        ),
        failure(
            "authentication_failed",
            "Your payment could not be completed due to incorrect OTP or verification details. "
            "Try another payment method or contact your bank for details.",
            code="GATEWAY_ERROR",
            source="gateway",
            step="payment_authentication",
        ),
        failure(
            "incorrect_otp",
            "The one-time password is not correct.",
            source="customer",
            step="payment_authentication",
        ),
    )
}
FAILING_CARDS: Final[Mapping[str, str]] = {
    # Visa
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
    # Mastercard
    "5305620000060000": "payment_timed_out",
    "5305620000050001": "insufficient_fund",
    "5305620000040002": "payment_cancelled",
    "5305620000030003": "card_declined",
    "5305620000020004": "card_declined",
    "5305620000010005": "card_declined",
    "5305620000000006": "card_disabled_for_online_payments",
    "5305620000080008": "card_number_invalid",
    "5305620000090007": "gateway_technical_error",
    "5305620000070009": "authentication_failed",
}
SUCCESS_CARD: Final = "4100280000001007"
SUCCESS_VPA, FAILURE_VPA = "success@razorpay", "failure@razorpay"


class PaymentAttempt(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a customer enters to pay. The amount is in minor units.

    None means the order's amount, or an instrument and a contact that succeed.
    """

    method: str
    amount: int | None = None
    card_number: str | None = None
    card_name: str | None = None
    vpa: str | None = None
    bank: str | None = None
    wallet: str | None = None
    email: str | None = None
    contact: str | None = None
    description: str | None = None


class Instrument(Struct, kw_only=True):
    """What a customer pays with, and how the payment will fail, if so."""

    method: str
    card: Card | None = None
    vpa: str | None = None
    bank: str | None = None
    wallet: str | None = None
    simulated_failure: Failure | None = None


def build_instrument(attempt: PaymentAttempt) -> Instrument:
    """Return the instrument of an attempt. Raise RazorpayError if it is invalid."""
    method = attempt.method
    if method == "card":
        digits = (attempt.card_number or SUCCESS_CARD).replace(" ", "").replace("-", "")
        reason = FAILING_CARDS.get(digits)
        return Instrument(
            method=method,
            card=build_card(digits, attempt.card_name or "Test Customer"),
            simulated_failure=FAILURES[reason] if reason else None,
        )
    if method == "upi":
        vpa = attempt.vpa or SUCCESS_VPA
        user, at, handle = vpa.partition("@")
        if not (at and user and handle.isalnum()):
            raise bad_request("Invalid VPA. Please enter a valid Virtual Payment Address", "vpa")
        simulated_failure = FAILURES["payment_failed"] if vpa == FAILURE_VPA else None
        return Instrument(method=method, vpa=vpa, simulated_failure=simulated_failure)
    if method == "netbanking":
        return Instrument(method=method, bank=require_known("bank", attempt.bank or "HDFC", BANKS))
    if method == "wallet":
        wallet = require_known("wallet", attempt.wallet or "mobikwik", WALLETS)
        return Instrument(method=method, wallet=wallet)
    raise bad_request("The selected method is invalid.", "method")


def require_known(name: str, value: str, choices: Mapping[str, str]) -> str:
    if value not in choices:
        raise bad_request(f"The selected {name} is invalid.", name)
    return value


def build_card(digits: str, holder: str) -> Card:
    """Return the card. Razorpay never shows its whole number, so only the last four digits stay."""
    is_number = digits.isascii() and digits.isdecimal() and 12 <= len(digits) <= 19
    if not (is_number and passes_luhn(digits)):
        raise bad_request("Your card number is incorrect.", "card[number]")
    international = digits in INTERNATIONAL_CARDS
    network = next((name for prefixes, name in NETWORKS if digits.startswith(prefixes)), "Unknown")
    return Card(
        id=new_id("card"),
        name=holder,
        last4=digits[-4:],
        network=network,
        type="credit",
        issuer=None if international else "UTIB",
        international=international,
    )


def passes_luhn(digits: str) -> bool:
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
