"""What looks like the gateway's refusal of a refund: only the gateway itself, and for good, ends a refund."""

import httpx
import pytest

from tests.actors import Actor, assert_problem, request_refund, status
from tests.aliases import Json
from tests.money.shop import Shop

REFUND: Json = {"route": "/v1/payments/*/refund", "method": "POST"}
FINAL = "The payment has been fully refunded already"
NOT_FINAL: dict[str, Json] = {
    "another status": {"status": 404, "description": FINAL},
    "a firewall in the gateway's words": {"status": 403, "description": FINAL},
    "another code": {"code": "GATEWAY_ERROR", "description": FINAL},
    "a reason that may pass": {"reason": "payment_failed", "description": FINAL},
    "words of no list": {"description": "invalid request sent"},
    "an unknown id": {"description": "The id provided does not exist"},
    "a path that was not found": {"description": "The requested URL was not found on the server."},
    "bad keys with 400": {"description": "Authentication failed"},
    "a conflict": {"status": 409, "description": FINAL},
}


@pytest.fixture
def payment(shop: Shop, user: Actor) -> Json:
    return user.buy(shop.sandbox)[0]


def assert_kept_and_finished(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json, first: httpx.Response
) -> None:
    """Assert that the refund was neither made twice nor given up, and that its key finishes it."""
    assert first.status_code in (502, 503), first.text
    assert status(api, payment)["refundStatus"] == "requested"
    # Another key would return the money a second time.
    assert_problem(request_refund(admin, payment, 30000), 409, code="not_refundable")
    again = request_refund(admin, payment, 30000, "one-key")
    assert again.status_code == 200, again.text
    assert again.json()["data"]["status"] == "processed"
    assert [refund["amount"] for refund in shop.refunds_at_gateway(payment)] == [30000]
    shop.assert_sound(payment)


@pytest.mark.parametrize("carried_out", [0, 1])
@pytest.mark.parametrize("code", [302, 401, 403, 404, 408, 429, 499, 500, 502, 503, 504, 204, 200])
@pytest.mark.owasp(line="API10")
def test_a_proxy_never_ends_a_refund(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json, code: int, carried_out: int
) -> None:
    shop.sandbox.fault("proxy_page", options={"status": code, "carried_out": carried_out}, **REFUND)

    first = request_refund(admin, payment, 30000, "one-key")

    assert_kept_and_finished(api, shop, admin, payment, first)


@pytest.mark.parametrize("answer", NOT_FINAL)
@pytest.mark.owasp(line="API10")
def test_a_refusal_that_is_not_final_ends_no_refund(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json, answer: str
) -> None:
    shop.sandbox.fault("refusal", options=NOT_FINAL[answer], **REFUND)

    first = request_refund(admin, payment, 30000, "one-key")

    assert_kept_and_finished(api, shop, admin, payment, first)


@pytest.mark.parametrize("fault", ["cut_body", "wrong_amount"])
def test_a_refund_whose_answer_is_broken_is_found_again(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json, fault: str
) -> None:
    shop.sandbox.fault(fault, **REFUND)

    first = request_refund(admin, payment, 30000, "one-key")

    assert_kept_and_finished(api, shop, admin, payment, first)


@pytest.mark.parametrize(
    "answer",
    [
        {"description": FINAL},
        {"reason": "refund_limit_crossed", "description": "No more refunds."},
        {"reason": "", "description": "The refund amount provided is greater than amount captured"},
        {"reason": "extra_field_sent", "description": "speed is/are not required"},
    ],
    ids=lambda answer: answer["description"],
)
def test_a_final_refusal_ends_the_refund_and_releases_its_amount(
    shop: Shop, admin: Actor, payment: Json, answer: Json
) -> None:
    shop.sandbox.fault("refusal", options=answer, **REFUND)

    for _ in range(2):
        refused = request_refund(admin, payment, 30000, "one-key")
        assert_problem(refused, 409, code="refund_rejected")

    assert request_refund(admin, payment, 30000, "another-key").status_code == 201
    assert [refund["amount"] for refund in shop.refunds_at_gateway(payment)] == [30000]


@pytest.mark.parametrize(
    "answer",
    [
        {"description": FINAL},
        {"reason": "duplicate_request", "description": "Duplicate"},
        {"reason": "duplicate_refund_id", "description": "Duplicate"},
        {
            "description": "Different request with the same idempotency key has already been processed."
        },
    ],
    ids=lambda answer: answer.get("reason") or answer["description"],
)
def test_a_refund_that_the_gateway_has_had_before_is_looked_up(
    shop: Shop, admin: Actor, payment: Json, answer: Json
) -> None:
    """The gateway may not keep the key of an attempt, but its list of refunds tells whose they are."""
    shop.sandbox.fault("refusal", options={**answer, "carried_out": 1}, **REFUND)

    made = request_refund(admin, payment, 30000, "one-key")

    assert made.status_code == 201, made.text
    (refund,) = shop.refunds_at_gateway(payment)
    assert made.json()["data"]["refundId"] == refund["id"]
    shop.assert_sound(payment)


def test_a_question_that_is_refused_in_final_words_ends_no_refund(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json
) -> None:
    """The list of refunds is asked for before a second attempt: what it answers is no answer to the refund."""
    shop.sandbox.fault("proxy_page", **REFUND)
    assert_problem(request_refund(admin, payment, 30000, "one-key"), 503)
    shop.sandbox.fault("refusal", route="/v1/payments/*/refunds", options={"description": FINAL})

    second = request_refund(admin, payment, 30000, "one-key")

    assert_kept_and_finished(api, shop, admin, payment, second)


def test_a_low_balance_keeps_the_refund_for_the_same_key_and_the_worker(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json
) -> None:
    shop.sandbox.fault("low_balance", times=2)
    for _ in range(2):
        poor = request_refund(admin, payment, 30000, "one-key")
        assert_problem(poor, 503, code="balance_too_low")
        assert int(poor.headers["retry-after"]) > 0
    assert status(api, payment)["refundStatus"] == "requested"
    assert_problem(request_refund(admin, payment, 30000), 409, code="not_refundable")

    shop.settle_later()

    done = request_refund(admin, payment, 30000, "one-key")
    assert (done.status_code, done.json()["data"]["status"]) == (200, "processed")
    assert len(shop.refunds_at_gateway(payment)) == 1
    shop.assert_sound(payment)


def test_a_refund_that_waits_for_money_holds_up_no_other_of_its_payment(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json
) -> None:
    shop.sandbox.fault("reset", times=2, **REFUND)
    for key, amount in (("first", 20000), ("second", 10000)):
        assert_problem(request_refund(admin, payment, amount, key), 503)
    shop.sandbox.fault("low_balance")

    shop.settle_later()

    assert [refund["amount"] for refund in shop.refunds_at_gateway(payment)] == [10000]
    assert status(api, payment)["amountRefunded"] == 10000


def test_a_refund_whose_payment_seems_uncaptured_is_unknown_and_keeps_its_key(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json
) -> None:
    """Nothing contradicts our row then, and yet the refund is not in it."""
    # First the refunds of the payment are listed.
    shop.sandbox.fault("wrong_status", times=2, route="/v1/payments/pay_*", method="GET")

    first = request_refund(admin, payment, 30000, "one-key")

    assert_kept_and_finished(api, shop, admin, payment, first)


def test_a_refund_whose_payment_does_not_fit_is_unknown_and_keeps_its_key(
    api: httpx.Client, shop: Shop, admin: Actor, payment: Json
) -> None:
    """It was answered with 201 and without a refundId, and nobody could repeat it until its lease had ended."""
    # First the refunds of the payment are listed.
    shop.sandbox.fault("wrong_amount", times=2, route="/v1/payments/pay_*", method="GET")

    first = request_refund(admin, payment, 30000, "one-key")

    assert_problem(first, 503, code="gateway_unavailable")
    again = request_refund(admin, payment, 30000, "one-key")
    assert again.status_code == 200, again.text
    assert again.json()["data"]["refundId"].startswith("rfnd_")
    assert [m["reason"] for m in shop.row(payment)["mismatches"]] == ["amount"]
    assert len(shop.refunds_at_gateway(payment)) == 1
