"""What an answer without success means."""

import msgspec
import pytest

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
from kernapay.gateway.refusals import judge, read_refusal

FULL = "The payment has been fully refunded already"
MISSING = "The id provided does not exist"


def judged(status: int, *, is_change: bool = True, **error: object) -> type[GatewayError]:
    body = msgspec.json.encode({"error": {"code": "BAD_REQUEST_ERROR", **error}})
    return type(judge(read_refusal(status, body), is_change=is_change))


@pytest.mark.parametrize("reason", ["NA", None, ""])
@pytest.mark.parametrize(
    "description",
    [
        FULL,
        "The refund amount provided is greater than amount captured",
        "The amount must be at least INR 1.00",
        "The payment status should be captured for action to be taken",
        "Refund is not supported by the bank because the payment is more than 6 months old",
        "speed is/are not required and should not be sent",
        "Capture amount must be equal to the amount authorized",
        "receipt: the length must be no more than 40.",
    ],
)
def test_without_a_reason_the_words_of_the_list_are_final(
    reason: str | None, description: str
) -> None:
    assert judged(400, reason=reason, description=description) is GatewayRejected
    # What is no question and no change of ours cannot be refused for good either.
    assert judged(400, reason=reason, description=description, is_change=False) is GatewayUnknown


def test_without_a_field_for_the_reason_the_words_are_final_too() -> None:
    assert judged(400, description=FULL) is GatewayRejected


@pytest.mark.parametrize("reason", ["input_validation_failed", "refund_limit_crossed"])
def test_a_reason_that_cannot_change_is_final_whatever_the_words(reason: str) -> None:
    assert judged(400, reason=reason, description="New words.") is GatewayRejected


@pytest.mark.parametrize("reason", ["payment_failed", "server_error", "capture_failed", "new"])
def test_any_other_reason_is_not_final_whatever_the_words(reason: str) -> None:
    assert judged(400, reason=reason, description=FULL) is GatewayUnknown


@pytest.mark.parametrize("status", [302, 404, 405, 408, 410, 413, 422, 451, 499, 500, 502, 503])
@pytest.mark.parametrize("description", [FULL, MISSING, "Order older than 180 days"])
def test_with_another_status_no_words_count(status: int, description: str) -> None:
    assert judged(status, description=description) is GatewayUnknown


@pytest.mark.parametrize("code", ["GATEWAY_ERROR", "SERVER_ERROR", "", None])
@pytest.mark.parametrize("description", [FULL, MISSING])
def test_with_another_code_no_words_count(code: str | None, description: str) -> None:
    assert judged(400, code=code, description=description) is GatewayUnknown


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>The id provided does not exist</html>",
        b'{"error": "BAD_REQUEST_ERROR"}',
        b'{"error": {"code": "BAD_REQUEST_ERROR", "description": 5}}',
        b'{"error": {"code": "BAD_REQUEST_ERROR", "description": "The payment has been fully ref',
        b"[" * 5000,
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_body_that_is_no_envelope_says_nothing(status: int, body: bytes) -> None:
    assert type(judge(read_refusal(status, body), is_change=True)) is GatewayUnknown


@pytest.mark.parametrize(
    ("status", "description", "kind"),
    [
        (400, MISSING, GatewayMissing),
        (400, "order_1 is not a valid id", GatewayMissing),
        (400, "The requested URL was not found on the server.", GatewayUnknown),
        (400, "Order older than 180 days, please use reports.", GatewayTooOld),
        (400, "Authentication failed", GatewayDenied),
        (401, "The api key provided is invalid", GatewayDenied),
        (403, "Access Denied", GatewayDenied),
        (400, "Your account does not have enough balance to carry out the", BalanceTooLow),
        (429, "Too many requests", GatewayBusy),
        (409, "Another request with the same idempotency key is still in", GatewayBusy),
        (409, "Different request with the same idempotency key has already", GatewayDuplicate),
    ],
)
def test_some_answers_have_a_meaning_of_their_own(
    status: int, description: str, kind: type[GatewayError]
) -> None:
    assert judged(status, description=description, reason="NA") is kind
    # These words decide even with the reason that Razorpay gives to everything that it validates.
    if status == 400 and kind is not GatewayUnknown:
        reason = "input_validation_failed"
        assert judged(status, description=description, reason=reason) is kind


def test_long_words_are_cut() -> None:
    body = msgspec.json.encode(
        {"error": {"code": "BAD_REQUEST_ERROR", "description": f"{FULL} {'x' * 10_000}"}}
    )
    assert len(judge(read_refusal(400, body), is_change=True).detail) < 400
