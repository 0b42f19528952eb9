import pytest

from tests.sandbox.sandbox_process import SandboxProcess

ALREADY_PAID = "the order is already paid"


def test_a_paid_order_has_one_captured_payment_with_fee_and_tax(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    payment_id = sandbox.pay(order, method="upi")["razorpay_payment_id"]
    payment = sandbox.fetch_payment(payment_id)
    assert payment["status"] == "captured"
    assert payment["captured"] is True
    assert (payment["fee"], payment["tax"]) == (1180, 180)
    assert payment["vpa"] == "success@razorpay"
    assert payment["acquirer_data"]["rrn"].isdecimal()
    order = sandbox.fetch_order(order["id"])
    assert (order["status"], order["attempts"]) == ("paid", 1)
    assert (order["amount_paid"], order["amount_due"]) == (50_000, 0)


@pytest.mark.parametrize(
    ("method", "field", "reference"),
    [
        ("card", "card_id", "auth_code"),
        ("upi", "vpa", "rrn"),
        ("netbanking", "bank", "bank_transaction_id"),
        ("wallet", "wallet", "transaction_id"),
    ],
)
def test_each_method_has_its_own_fields(
    sandbox: SandboxProcess, method: str, field: str, reference: str
) -> None:
    payment = sandbox.create_payment(method=method)
    assert payment["method"] == method
    assert {f for f in ("card_id", "vpa", "bank", "wallet") if payment[f]} == {field}
    assert payment["acquirer_data"][reference]


def test_the_card_of_a_payment_can_be_fetched(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment(
        method="card", card_number="5555 5555 5555 4444", card_name="Asha Rao"
    )
    card = sandbox.call("GET", f"/v1/payments/{payment['id']}/card")
    assert (card["network"], card["last4"], card["name"]) == ("MasterCard", "4444", "Asha Rao")
    assert card["international"] is True
    assert card["issuer"] is None
    assert payment["international"] is True
    error = sandbox.expect_error(
        "GET", f"/v1/payments/{sandbox.create_payment(method='upi')['id']}/card"
    )
    assert error["description"] == "Payment was not done using card"


def test_a_failed_attempt_leaves_the_order_open_for_another(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    failed = sandbox.pay(order, outcome="failure", reason="insufficient_fund")["error"]
    assert failed["reason"] == "insufficient_fund"
    assert failed["metadata"]["order_id"] == order["id"]
    payment = sandbox.fetch_payment(failed["metadata"]["payment_id"])
    assert (payment["status"], payment["captured"], payment["fee"]) == ("failed", False, None)
    assert payment["error_reason"] == "insufficient_fund"
    assert sandbox.fetch_order(order["id"])["status"] == "attempted"
    sandbox.pay(order)
    order = sandbox.fetch_order(order["id"])
    assert (order["status"], order["attempts"]) == ("paid", 2)
    statuses = [
        p["status"] for p in sandbox.call("GET", f"/v1/orders/{order['id']}/payments")["items"]
    ]
    assert statuses == ["captured", "failed"]


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        ("5305620000060000", "BAD_REQUEST_ERROR", "payment_timed_out"),
        ("5305620000090007", "GATEWAY_ERROR", "gateway_technical_error"),
        ("4100280000090000", "BAD_REQUEST_ERROR", "payment_timed_out"),
        ("4100280000080001", "BAD_REQUEST_ERROR", "insufficient_fund"),
        ("4100280000070002", "BAD_REQUEST_ERROR", "payment_cancelled"),
        ("4100280000060003", "BAD_REQUEST_ERROR", "card_declined"),
        ("4100280000030006", "BAD_REQUEST_ERROR", "card_disabled_for_online_payments"),
        ("4100280000010008", "BAD_REQUEST_ERROR", "card_number_invalid"),
        ("4100280000020007", "GATEWAY_ERROR", "gateway_technical_error"),
        ("4100280000000009", "GATEWAY_ERROR", "authentication_failed"),
    ],
)
def test_each_of_the_vendors_error_cards_has_its_own_reason(
    sandbox: SandboxProcess, number: str, code: str, reason: str
) -> None:
    error = sandbox.pay(sandbox.create_order(), method="card", card_number=number)["error"]
    assert (error["code"], error["reason"]) == (code, reason)
    # Checkout, the payment and its event say the same.
    path = f"/v1/payments/{error['metadata']['payment_id']}"
    payment = sandbox.call("GET", path, params={"expand[]": "card"})
    told = {name: payment[f"error_{name}"] for name in ("code", "source", "step", "reason")}
    assert told == {name: error[name] for name in told}
    assert payment["error_description"] == error["description"]
    assert payment["card"]["network"] == ("Visa" if number.startswith("4") else "MasterCard")


def test_a_paid_order_takes_no_further_payment(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    sandbox.pay(order)
    second = sandbox.anonymous.post("/_sandbox/pay", json={"order_id": order["id"]})
    assert second.status_code == 400
    assert ALREADY_PAID in second.json()["error"]["description"]


def test_an_order_with_an_authorized_payment_takes_no_other(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(payment={"capture": "manual"})
    sandbox.pay(order)
    second = sandbox.anonymous.post("/_sandbox/pay", json={"order_id": order["id"]})
    assert second.status_code == 400
    assert sandbox.fetch_order(order["id"])["attempts"] == 1


def test_an_authorized_payment_is_captured_once_and_in_full(
    sandbox: SandboxProcess,
) -> None:
    order = sandbox.create_order(payment={"capture": "manual"})
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    path = f"/v1/payments/{payment_id}/capture"
    assert sandbox.fetch_payment(payment_id)["status"] == "authorized"
    error = sandbox.expect_error("POST", path, {"amount": 49_999, "currency": "INR"})
    assert error["description"] == "Capture amount must be equal to the amount authorized"
    assert (
        sandbox.expect_error("POST", path, {"amount": 50_000, "currency": "USD"})["field"]
        == "currency"
    )
    captured = sandbox.call("POST", path, {"amount": 50_000, "currency": "INR"})
    assert (captured["status"], captured["fee"]) == ("captured", 1180)
    error = sandbox.expect_error("POST", path, {"amount": 50_000, "currency": "INR"})
    assert ALREADY_PAID in error["description"]


def test_a_failed_payment_cannot_be_captured(sandbox: SandboxProcess) -> None:
    failed = sandbox.fail_payment(sandbox.create_order())
    error = sandbox.expect_error(
        "POST", f"/v1/payments/{failed}/capture", {"amount": 50_000, "currency": "INR"}
    )
    assert "authorized and not yet captured" in error["description"]


def test_an_uncaptured_payment_is_refunded_after_its_expiry(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(
        payment={"capture": "manual", "capture_options": {"manual_expiry_period": 20}}
    )
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    sandbox.advance_clock(19 * 60)
    assert sandbox.fetch_payment(payment_id)["status"] == "authorized"
    sandbox.advance_clock(2 * 60)
    payment = sandbox.fetch_payment(payment_id)
    assert (payment["status"], payment["captured"]) == ("refunded", False)
    assert (payment["refund_status"], payment["amount_refunded"]) == ("full", 50_000)
    assert sandbox.call("GET", f"/v1/payments/{payment_id}/refunds")["count"] == 1


def test_an_unfinished_attempt_times_out(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.pay(sandbox.create_order(), outcome="pending")["razorpay_payment_id"]
    assert sandbox.fetch_payment(payment_id)["status"] == "created"
    sandbox.advance_clock(13 * 60)
    payment = sandbox.fetch_payment(payment_id)
    assert (payment["status"], payment["error_reason"]) == ("failed", "payment_timed_out")


def test_a_payment_can_be_authorized_after_it_failed(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    failed = sandbox.fail_payment(order)
    sandbox.control(f"/payments/{failed}/authorize")
    payment = sandbox.fetch_payment(failed)
    assert (payment["status"], payment["late_authorized"]) == ("captured", True)
    assert payment["error_code"] is None
    assert sandbox.fetch_order(order["id"])["status"] == "paid"


def test_a_late_authorization_of_a_paid_order_is_refunded(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    failed = sandbox.fail_payment(order)
    sandbox.pay(order)
    sandbox.control(f"/payments/{failed}/authorize")
    payment = sandbox.fetch_payment(failed)
    assert (payment["status"], payment["captured"]) == ("refunded", False)
    assert sandbox.fetch_order(order["id"])["amount_paid"] == 50_000


def test_an_order_paid_in_parts_is_paid_with_the_last_part(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(partial_payment=True, first_payment_min_amount=10_000)
    path = f"/v1/orders/{order['id']}"
    refused = sandbox.anonymous.post(
        "/_sandbox/pay", json={"order_id": order["id"], "amount": 9_999}
    )
    assert refused.status_code == 400
    sandbox.pay(order, amount=20_000)
    order = sandbox.call("GET", path)
    assert (order["status"], order["amount_paid"], order["amount_due"]) == (
        "attempted",
        20_000,
        30_000,
    )
    sandbox.pay(order)
    assert sandbox.call("GET", path)["status"] == "paid"


def test_closing_the_window_changes_nothing(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    assert sandbox.pay(order, outcome="dismiss") == {
        "dismissed": True,
        "razorpay_order_id": order["id"],
    }
    assert sandbox.fetch_order(order["id"]) == order


def test_a_payment_can_be_expanded(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment(method="card")
    sandbox.call("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 10_000})
    names = ["card", "emi", "offers", "refunds", "token", "transaction", "transaction.settlement"]
    path = f"/v1/payments/{payment['id']}"
    full = sandbox.call("GET", path, params={"expand[]": names})
    assert full["card"]["network"] == "Visa"
    assert full["refunds"]["items"][0]["amount"] == 10_000
    assert full["offers"]["items"] == []
    assert full["emi"] is full["token"] is None
    assert full["transaction"]["credit"] == 48_820
    assert full["transaction"]["settlement"] is None
    assert sandbox.expect_error("GET", path, params={"expand[]": "x"})["field"] == "expand"


def test_notes_of_a_payment_can_be_changed(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    changed = sandbox.call("PATCH", f"/v1/payments/{payment['id']}", {"notes": {"k": "v"}})
    assert changed["notes"] == {"k": "v"}
    assert sandbox.fetch_payment(payment["id"])["notes"] == {"k": "v"}


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "miracle"},
        {"method": "cash"},
        {"reason": "boredom"},
        {"card_number": "4100280000001008"},
        {"method": "upi", "vpa": "no-at-sign"},
        {"method": "netbanking", "bank": "XXXX"},
        {"amount": 1},
        {"amount": "many"},
        {"colour": "red"},
        {"order_id": "order_00000000000000"},
    ],
)
def test_an_invalid_simulation_is_refused_and_changes_nothing(
    sandbox: SandboxProcess, fields: dict[str, str]
) -> None:
    order = sandbox.create_order()
    response = sandbox.anonymous.post("/_sandbox/pay", json={"order_id": order["id"], **fields})
    assert response.status_code == 400
    assert response.json()["error"]["description"]
    assert sandbox.fetch_order(order["id"]) == order


def test_a_card_can_be_fetched_by_its_own_id(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment(method="card")
    path = f"/v1/cards/{payment['card_id']}"
    assert sandbox.call("GET", path) == sandbox.call("GET", f"/v1/payments/{payment['id']}/card")
    assert sandbox.other_api.get(path).json()["error"]["description"] == (
        "The id provided does not exist"
    )
    assert sandbox.expect_error("GET", "/v1/cards/x")["description"] == "x is not a valid id"
    error = sandbox.expect_error("POST", "/v1/cards/fingerprints", {"number": "4111111111111111"})
    assert error["code"] == "SANDBOX_ERROR"
