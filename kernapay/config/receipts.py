"""Validate the seller's address, tax number and document series for receipts."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

_GSTIN: Final = re.compile("[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ADDRESS_LINES: Final = 4


def _gstin(value: str) -> str:
    if not _GSTIN.fullmatch(value) or _check_digit(value[:-1]) != value[-1]:
        raise ValueError("must be a GSTIN, the last character of which fits: 27AAPFU0939F1ZV")
    return value


def _check_digit(number: str) -> str:
    """Return the last character of a GSTIN, which is made of the others (modulo 36)."""
    total = 0
    for place, each in enumerate(number):
        product = _DIGITS.index(each) * (1 + place % 2)
        total += product // 36 + product % 36
    return _DIGITS[-total % 36]


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value
    lines = tuple(line.strip() for line in value.split("|"))
    if len(lines) > _ADDRESS_LINES or not all(
        re.fullmatch(r"[^\x00-\x1f\x7f]{1,60}", line) for line in lines
    ):
        raise ValueError(
            "must be up to 4 lines of 1 to 60 characters, separated by |: 12 Lake Road|Pune 411001"
        )
    return lines


def _receipt_prefix(value: str) -> str:
    # Razorpay: a receipt has at most 40 characters, 25 of which are an underscore and the payment's id.
    if not re.fullmatch("[A-Z][A-Z0-9]{0,9}", value):
        raise ValueError("must be 1 to 10 capital letters and digits, a letter first: KP2")
    return value


def _series(value: str) -> str:
    # India, CGST rule 46(b): a number has at most 16 characters.
    if not re.fullmatch("[A-Z][A-Z0-9]{0,2}", value):
        raise ValueError("must be 1 to 3 capital letters and digits, a letter first: KP")
    return value


Gstin = Annotated[str, AfterValidator(_gstin)]
AddressLines = Annotated[tuple[str, ...], BeforeValidator(_address)]
ReceiptPrefix = Annotated[str, AfterValidator(_receipt_prefix)]
Series = Annotated[str, AfterValidator(_series)]
