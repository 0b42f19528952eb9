"""Razorpay's signatures.

This code shares nothing with the code that verifies them: shared code would hide its own mistakes.
"""

import hmac


def sign(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, "sha256").hexdigest()


def sign_text(secret: str, text: str) -> str:
    return sign(secret, text.encode())


def sign_checkout(secret: str, order_id: str, payment_id: str) -> str:
    return sign_text(secret, f"{order_id}|{payment_id}")
