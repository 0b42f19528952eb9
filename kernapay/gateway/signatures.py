"""Check Razorpay's signatures: hex HMAC-SHA256 over the raw bytes, compared in constant time.

Razorpay: see "Verify payment signature" and "Validate webhooks".
"""

import hmac
from collections.abc import Iterable


def _matches(secret: bytes, message: bytes, signature: str) -> bool:
    expected = hmac.new(secret, message, "sha256").hexdigest().encode()
    # As bytes: compare_digest raises on text that is not ASCII.
    return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))


def _matches_any(secrets: Iterable[bytes], message: bytes, signature: str) -> bool:
    # Check every secret: the time taken must not reveal which one matches.
    matches = [_matches(secret, message, signature) for secret in secrets]
    return any(matches)


def checkout_signature_fits(
    key_secrets: Iterable[bytes], order_id: str, payment_id: str, signature: str
) -> bool:
    """Return whether the signature from Checkout is valid under one of the secrets.

    `order_id` must be the one we stored, not the client's.
    """
    return _matches_any(key_secrets, f"{order_id}|{payment_id}".encode(), signature)


def webhook_signature_fits(secrets: Iterable[bytes], body: bytes, signature: str) -> bool:
    """Return whether the signature of a raw webhook body is valid under one of the secrets."""
    return _matches_any(secrets, body, signature)
