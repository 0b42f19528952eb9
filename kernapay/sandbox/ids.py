"""Ids in Razorpay's form: a prefix and fourteen letters or digits."""

import hashlib
import re
import secrets
import string

from kernapay.sandbox.errors import bad_request

ALPHABET = string.ascii_letters + string.digits
ID_PATTERN = re.compile(r"[a-z]+_[A-Za-z0-9]{14}")


def new_id(prefix: str) -> str:
    # One draw for all letters: fourteen calls of the system's source would take most of an order's time.
    number = secrets.randbits(128)
    letters = []
    for _ in range(14):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return f"{prefix}_{''.join(letters)}"


def derive_id(prefix: str, seed: str) -> str:
    """Return the same id for the same seed, so that it survives restarts and resets."""
    digest = hashlib.sha256(seed.encode()).digest()
    return f"{prefix}_{''.join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:14])}"


def check_id(prefix: str, value: str) -> None:
    if not value.startswith(f"{prefix}_") or not ID_PATTERN.fullmatch(value):
        raise bad_request(f"{value[:100]} is not a valid id")
