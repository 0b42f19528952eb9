"""Telephone numbers in the form in which Razorpay keeps them."""

import re
from typing import Final

INDIA: Final = "+91"
_SEPARATORS: Final = re.compile(r"[\s().-]+")
_INDIAN_MOBILE: Final = re.compile(r"0?([6-9]\d{9})|91([6-9]\d{9})")


def normalize_contact(text: str) -> str:
    """Return the number with its country code. Razorpay: ten digits of an Indian mobile get +91.

    What is no such number stays as it is, without separators.
    """
    digits = _SEPARATORS.sub("", text)
    match = _INDIAN_MOBILE.fullmatch(digits)
    return f"{INDIA}{match[1] or match[2]}" if match else digits
