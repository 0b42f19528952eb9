"""Judge an unsuccessful answer: is it final, and does it come from the gateway at all?

Only a parsed error envelope with code BAD_REQUEST_ERROR on HTTP 400 can be final, and only for a reason that cannot
change or, where the gateway gives none, for a description on our list. A proxy, a firewall or a load balancer may
answer with any other status, whatever its body says. Everything else is unknown.
"""

import re
from typing import Any, Final

import msgspec

from kernapay.core.patterns import DECODE_ERRORS
from kernapay.gateway.base import (
    BalanceTooLow,
    GatewayBusy,
    GatewayDenied,
    GatewayDuplicate,
    GatewayError,
    GatewayMissing,
    GatewayRejected,
    GatewayTooOld,
    GatewayUnknown,
)

_LONGEST_TEXT: Final = 300
_FINAL_CODE: Final = "BAD_REQUEST_ERROR"
# Razorpay: "NA" and null both stand for no reason.
_NO_REASON: Final = frozenset({None, "", "NA"})
_FINAL_REASONS: Final = frozenset(
    {
        "amount_less_than_minimum_amount",
        "extra_field_sent",
        "input_validation_failed",
        "invalid_convenience_fee_config",
        "order_already_paid",
        "order_amount_mismatch",
        "order_payment_method_mismatch",
        "refund_limit_crossed",
    }
)
_DUPLICATE_REASONS: Final = frozenset({"duplicate_refund_id", "duplicate_request"})


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# These texts decide before the reason: some come with `input_validation_failed`, but concern no input of ours.
_MISSING: Final = _any_of(
    "the id provided does not exist", r"\S{1,100} is not a valid id", "invalid id provided"
)
_DENIED: Final = _any_of(
    "authentication failed", "the api key(/secret)? provided is invalid", "access denied"
)
_POOR: Final = _any_of("does not have enough balance", "insufficient balance")
_DUPLICATE: Final = _any_of("different request with the same idempotency key")
_TOO_OLD: Final = _any_of(r"order older than \d+ days")
_FINAL: Final = _any_of(
    "fully refunded already",
    "greater than (the )?(amount captured|refund payment amount)",
    "amount must be at least",
    "less than minimum amount allowed",
    "amount must be an integer",
    "amount exceeds maximum amount allowed",
    "amount in [A-Z]{3} must be 0",
    "currency is not supported",
    "currency must be that of the payment",
    "status should be captured",
    "payment is more than 6 months old",
    "(is/)?are not required and should not be sent",
    "field is required",
    r"receipt\b.*(length must be no more than|may not be greater than)",
    "capture amount must be equal",
    "order is already paid",
    "already been captured",
    "authorized and not yet captured can be captured",
)


class _Error(msgspec.Struct):
    code: str | None = None
    description: str | None = None
    field: str | None = None
    reason: str | None = None


class _Envelope(msgspec.Struct):
    error: _Error


class Refusal(msgspec.Struct, frozen=True):
    """An unsuccessful answer. The texts are None unless it is in the gateway's own envelope."""

    status: int
    code: str | None = None
    description: str | None = None
    field: str | None = None
    reason: str | None = None


def read_refusal(status: int, body: bytes) -> Refusal:
    """Read an answer. One that is not in the gateway's envelope, such as a proxy's page, keeps only its status."""
    try:
        error = msgspec.json.decode(body, type=_Envelope).error
    except DECODE_ERRORS:
        return Refusal(status)
    return Refusal(status, error.code, error.description, error.field, error.reason)


def judge(refusal: Refusal, *, is_change: bool) -> GatewayError:
    """Return the error for an unsuccessful answer. A call that only reads never gets GatewayRejected."""
    details: dict[str, Any] = {
        "http_status": refusal.status,
        "gateway_field": refusal.field,
        "reason": refusal.reason,
    }
    words = (refusal.description or "")[:_LONGEST_TEXT]
    if refusal.reason in _DUPLICATE_REASONS or (refusal.code and _DUPLICATE.search(words)):
        return GatewayDuplicate("The payment gateway has had this request before.", **details)
    if refusal.status == 429:
        return GatewayBusy("The payment gateway has too many requests. Try again.", **details)
    if refusal.status == 409:
        text = "The payment gateway is still working on this request. Try again."
        return GatewayBusy(text, **details)
    is_refused = refusal.status == 400 and refusal.code == _FINAL_CODE
    if refusal.code and (refusal.status in (401, 403) or (is_refused and _DENIED.search(words))):
        return GatewayDenied(f"The payment gateway refused our keys: {words}", **details)
    if not is_refused:
        text = f"The payment gateway failed with status {refusal.status}. Try again."
        return GatewayUnknown(text, **details)
    error = _judge_words(refusal, words, details)
    if isinstance(error, GatewayRejected) and not is_change:
        return GatewayUnknown(f"The payment gateway did not answer: {words}", **details)
    return error


def _judge_words(refusal: Refusal, words: str, details: dict[str, Any]) -> GatewayError:
    if _MISSING.search(words):
        return GatewayMissing(f"The payment gateway does not know this: {words}", **details)
    if _TOO_OLD.search(words):
        return GatewayTooOld(f"The payment gateway does not answer: {words}", **details)
    if _POOR.search(words):
        text = "The balance at the payment gateway is too low for this refund. It stays reserved."
        return BalanceTooLow(text, **details)
    has_no_reason = refusal.reason in _NO_REASON
    if refusal.reason in _FINAL_REASONS or (has_no_reason and _FINAL.search(words)):
        return GatewayRejected(f"The payment gateway refused: {words}", **details)
    text = f"The payment gateway refused, perhaps not for good: {words or 'without a reason'}"
    return GatewayUnknown(text, **details)
