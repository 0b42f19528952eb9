"""POST /payments/verify: the signature, then the gateway's own word."""

import hashlib
import hmac
from typing import Any

import httpx
import pytest

from tests.actors import PAYMENTS, Actor, People, assert_problem, status, verify
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.factories import without
from tests.stack import KEY_SECRET, Sandbox


def signed(order_id: str, payment_id: str) -> str:
    return hmac.new(
        KEY_SECRET.encode(), f"{order_id}|{payment_id}".encode(), hashlib.sha256
    ).hexdigest()


def payment_row(store: Store, payment: Json) -> Json:
    return row_of(store.payments, referenceId=payment["referenceId"])


@pytest.mark.parametrize("method", ["card", "upi", "netbanking", "wallet"])
def test_a_good_signature_makes_the_payment_a_success(
    api: httpx.Client, user: Actor, sandbox: Sandbox, store: Store, method: str
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"], method=method)
    answer = verify(api, payment, checkout)
    assert answer.status_code == 200
    document = answer.json()
    assert document.keys() == {"success", "message", "paymentMethod", "livemode"}
    assert (document["success"], document["paymentMethod"]) == (True, method)
    seen = user.seen(payment["referenceId"])
    assert seen["status"] == "success"
    assert seen["paymentMethod"] == method
    assert seen["razorpayPaymentId"] == checkout["razorpay_payment_id"]
    assert [step["status"] for step in seen["history"]] == ["pending", "success"]
    step = seen["history"][-1]
    assert (step["source"], step["event"]) == ("checkout", "verify")
    row = payment_row(store, payment)
    assert row["razorpaySignature"] == checkout["razorpay_signature"]


@pytest.mark.owasp(line="API6")
def test_verifying_again_changes_nothing(
    api: httpx.Client, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, checkout = user.buy(sandbox)
    before = payment_row(store, payment)
    again = verify(api, payment, checkout)
    assert again.status_code == 200
    assert again.json()["paymentMethod"] == "card"
    assert payment_row(store, payment) == before


@pytest.mark.parametrize(
    "signature",
    ["0" * 64, "x", "caf\u00e9" * 10, "\U0001f600", " ", "A" * 256, "\u0000"],
    ids=ascii,
)
@pytest.mark.owasp(line="API6")
def test_a_bad_signature_changes_nothing(
    api: httpx.Client, user: Actor, sandbox: Sandbox, store: Store, signature: str
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    before = payment_row(store, payment)
    answer = verify(api, payment, checkout, razorpaySignature=signature)
    assert_problem(answer, 400, "razorpaySignature")
    assert payment_row(store, payment) == before
    assert verify(api, payment, checkout).status_code == 200


def test_a_signature_in_capitals_or_cut_is_refused(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    good = checkout["razorpay_signature"]
    for bad in (good.upper(), good[:-1], good + "0", good[::-1]):
        answer = verify(api, payment, checkout, razorpaySignature=bad)
        assert_problem(answer, 400, code="invalid_signature")


@pytest.mark.owasp(line="API6")
def test_a_cheap_payment_does_not_pay_for_a_dear_order(
    api: httpx.Client, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    cheap, dear = user.new_payment(amount=100), user.new_payment(amount=900_000)
    checkout = sandbox.pay(cheap["orderId"])
    before = payment_row(store, dear)
    # As Checkout gave it; with the dear order's id in its place; and both.
    assert_problem(verify(api, dear, checkout), 400, "razorpaySignature")
    answer = verify(api, dear, checkout, razorpayOrderId=dear["orderId"])
    assert_problem(answer, 400, "razorpaySignature")
    answer = verify(api, cheap, checkout, razorpayOrderId=dear["orderId"])
    assert_problem(answer, 400, "razorpayOrderId")
    assert payment_row(store, dear) == before
    assert status(api, cheap)["status"] == "pending"


@pytest.mark.owasp(line="API6")
def test_somebody_elses_signature_does_not_fit(
    api: httpx.Client, user: Actor, people: People, sandbox: Sandbox
) -> None:
    mine, theirs = user.new_payment(), people.new().new_payment()
    checkout = sandbox.pay(theirs["orderId"])
    assert_problem(verify(api, mine, checkout), 400, code="invalid_signature")
    assert status(api, mine)["status"] == "pending"


@pytest.mark.owasp(line="API10")
def test_a_signature_for_a_payment_of_another_order_is_caught_at_the_gateway(
    api: httpx.Client, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    """Only a leaked key could make it; even then the money has to be there."""
    dear, cheap = user.new_payment(amount=900_000), user.new_payment(amount=100)
    paid = sandbox.pay(cheap["orderId"])
    forged = {
        "razorpay_order_id": dear["orderId"],
        "razorpay_payment_id": paid["razorpay_payment_id"],
        "razorpay_signature": signed(dear["orderId"], paid["razorpay_payment_id"]),
    }
    answer = verify(api, dear, forged)
    assert answer.status_code in (404, 409), answer.text
    assert status(api, dear)["status"] == "pending"


@pytest.mark.owasp(line="API10")
def test_another_amount_at_the_gateway_is_recorded_and_changes_nothing(
    api: httpx.Client, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    # With another amount of the payment alone, the gateway's order would say that it is paid.
    for route in ("/v1/payments/*", "/v1/orders/*"):
        sandbox.fault("wrong_amount", route=route, options={"by": -49_900})
    assert_problem(verify(api, payment, checkout), 409, code="evidence_mismatch")
    row = payment_row(store, payment)
    assert row["status"] == "pending"
    assert len(row["history"]) == 1
    (mismatch,) = row["mismatches"]
    assert (mismatch["reason"], mismatch["amount"]) == ("amount", 100)
    assert verify(api, payment, checkout).status_code == 200


def test_what_is_only_authorized_gets_captured(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"], "authorized")
    gateway_id = checkout["razorpay_payment_id"]
    assert sandbox.payment(gateway_id)["status"] == "authorized"
    assert verify(api, payment, checkout).status_code == 200
    assert sandbox.payment(gateway_id)["status"] == "captured"
    assert status(api, payment)["status"] == "success"


@pytest.mark.owasp(line="API10")
def test_a_failed_payment_is_no_success_whoever_signed_it(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    failed = sandbox.pay(payment["orderId"], "failure")["error"]["metadata"]["payment_id"]
    checkout = {
        "razorpay_order_id": payment["orderId"],
        "razorpay_payment_id": failed,
        "razorpay_signature": signed(payment["orderId"], failed),
    }
    assert_problem(verify(api, payment, checkout), 409, code="not_paid")
    assert status(api, payment)["status"] == "pending"
    # The customer tries again on the same order.
    assert verify(api, payment, sandbox.pay(payment["orderId"])).status_code == 200
    assert status(api, payment)["status"] == "success"


def test_a_payment_the_bank_still_ponders_is_to_be_asked_for_later(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    pending = sandbox.pay(payment["orderId"], "pending")
    signature = signed(payment["orderId"], pending["razorpay_payment_id"])
    answer = verify(api, payment, {**pending, "razorpay_signature": signature})
    assert_problem(answer, 503, code="not_captured_yet")
    assert int(answer.headers["retry-after"]) > 0
    assert status(api, payment)["status"] == "pending"


@pytest.mark.owasp(line="API6")
def test_a_payment_that_was_refunded_is_not_verified_again(
    api: httpx.Client, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payment, checkout = user.buy(sandbox)
    refunds = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    part = {"amount": 20_000, "idempotencyKey": "part"}
    assert admin.call("POST", refunds, json=part).status_code == 201
    assert verify(api, payment, checkout).status_code == 200
    assert admin.call("POST", refunds, json={"idempotencyKey": "rest"}).status_code == 201
    for _ in range(2):
        assert_problem(verify(api, payment, checkout), 409, code="payment_returned")


def test_a_refund_on_its_way_counts_until_it_fails(
    api: httpx.Client, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payment, checkout = user.buy(sandbox)
    refunds = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    sandbox.fault("refund_pending", options={"seconds": 60})
    assert admin.call("POST", refunds, json={"idempotencyKey": "all"}).status_code == 201
    assert status(api, payment)["status"] == "success"
    assert_problem(verify(api, payment, checkout), 409, code="payment_returned")
    other, checkout = user.buy(sandbox)
    refunds = f"{PAYMENTS}/{other['referenceId']}/refunds"
    refusal = {"description": "Refund is not supported: payment is more than 6 months old"}
    sandbox.fault("refusal", route="/v1/payments/*/refund", method="POST", options=refusal)
    assert_problem(admin.call("POST", refunds, json={"idempotencyKey": "all"}), 409)
    assert verify(api, other, checkout).status_code == 200


@pytest.mark.owasp(line="API10")
def test_a_payment_that_the_dashboard_refunded_first_is_not_verified(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    sandbox.refund(checkout["razorpay_payment_id"])
    # The list of refunds is asked for before anything is stored, so a repeat starts again.
    sandbox.fault("server_error", route="/v1/payments/*/refunds")
    assert_problem(verify(api, payment, checkout), 503)
    assert status(api, payment)["status"] == "pending"
    for _ in range(2):
        assert_problem(verify(api, payment, checkout), 409, code="payment_returned")
    seen = status(api, payment)
    assert (seen["status"], seen["amountRefunded"]) == ("refunded", 50_000)


def test_what_the_dashboard_refunded_in_part_is_entered_and_verified(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    sandbox.refund(checkout["razorpay_payment_id"], 20_000)
    assert verify(api, payment, checkout).status_code == 200
    seen = status(api, payment)
    assert (seen["status"], seen["amountRefunded"]) == ("success", 20_000)


def test_an_unknown_reference_is_not_found(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment, checkout = user.buy(sandbox)
    unknown = payment["referenceId"][:-4] + "AAAA"
    assert_problem(verify(api, {"referenceId": unknown}, checkout), 404, "referenceId")


def test_a_gateway_that_cannot_be_asked_changes_nothing_and_may_be_asked_again(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    for fault in ("server_error", "bad_gateway_html", "reset", "rate_limit"):
        # Until it is removed: a question is asked again at once when a kept connection is closed.
        armed = sandbox.fault(fault, times=None, route="/v1/payments/*")
        answer = verify(api, payment, checkout)
        assert_problem(answer, 503)
        sandbox.call("DELETE", f"/_sandbox/faults/{armed['id']}")
        assert int(answer.headers["retry-after"]) > 0
        assert status(api, payment)["status"] == "pending"
    assert verify(api, payment, checkout).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"razorpayOrderId": ""}, "razorpayOrderId"),
        ({"razorpayOrderId": "order_../../x"}, "razorpayOrderId"),
        ({"razorpayOrderId": {"$ne": ""}}, "razorpayOrderId"),
        ({"razorpayPaymentId": "pay_a/../../orders"}, "razorpayPaymentId"),
        ({"razorpayPaymentId": "pay_" + "x" * 33}, "razorpayPaymentId"),
        ({"razorpayPaymentId": None}, "razorpayPaymentId"),
        ({"razorpaySignature": ""}, "razorpaySignature"),
        ({"razorpaySignature": "x" * 257}, "razorpaySignature"),
        ({"razorpaySignature": ["x"]}, "razorpaySignature"),
        ({"referenceId": "PAY_x"}, "referenceId"),
        ({"referenceId": {"$gt": ""}}, "referenceId"),
        ({"referenceId": "\x00"}, "referenceId"),
        ({"status": "success"}, "status"),
    ],
    ids=str,
)
def test_a_bad_field_is_refused_by_name(
    api: httpx.Client, user: Actor, sandbox: Sandbox, changes: dict[str, Any], field: str
) -> None:
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    assert_problem(verify(api, payment, checkout, **changes), 400, field)
    assert status(api, payment)["status"] == "pending"


@pytest.mark.parametrize(
    "name", ["razorpayOrderId", "razorpayPaymentId", "razorpaySignature", "referenceId"]
)
def test_a_missing_field_is_refused_by_name(api: httpx.Client, name: str) -> None:
    body = {
        "razorpayOrderId": "order_1",
        "razorpayPaymentId": "pay_1",
        "razorpaySignature": "0",
        "referenceId": "PAY_66b1f0c2a7d4e5f601234567_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA",
    }
    assert_problem(api.post(f"{PAYMENTS}/verify", json=without(body, name)), 400, name)
