"""Razorpay's signatures: hex HMAC-SHA256, compared in constant time, over bytes as they came.

Source: Razorpay, "Verify payment signature" and "Validate webhooks".
"""

import hmac
from collections.abc import Iterable


def _matches(secret: bytes, message: bytes, signature: str) -> bool:
    expected = hmac.new(secret, message, "sha256").hexdigest().encode()
    # As bytes: compare_digest refuses text that is not ASCII.
    return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))


def checkout_signature_fits(
    key_secret: bytes, order_id: str, payment_id: str, signature: str
) -> bool:
    """Check what Checkout handed to the browser, for the order id of our own record."""
    return _matches(key_secret, f"{order_id}|{payment_id}".encode(), signature)


def webhook_signature_fits(secrets: Iterable[bytes], body: bytes, signature: str) -> bool:
    """Check a webhook's raw bytes with the current and the previous secret."""
    # No early exit: the time taken must not tell which of the secrets fits.
    fits = [_matches(secret, body, signature) for secret in secrets]
    return any(fits)
