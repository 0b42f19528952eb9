import pytest

from tests.sandbox.box import Box

ALREADY_PAID = "the order is already paid"


def test_a_paid_order_has_one_captured_payment_with_fee_and_tax(box: Box) -> None:
    order = box.order()
    paid = box.pay(order, method="upi")
    payment = box.payment(paid["razorpay_payment_id"])
    assert payment["status"] == "captured"
    assert payment["captured"] is True
    assert (payment["fee"], payment["tax"]) == (1180, 180)
    assert payment["vpa"] == "success@razorpay"
    assert payment["acquirer_data"]["rrn"].isdecimal()
    order = box.ok("GET", f"/v1/orders/{order['id']}")
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
def test_each_method_leaves_its_own_traces(
    box: Box, method: str, field: str, reference: str
) -> None:
    payment = box.paid(method=method)
    assert payment["method"] == method
    assert {f for f in ("card_id", "vpa", "bank", "wallet") if payment[f]} == {field}
    assert payment["acquirer_data"][reference]


def test_the_card_of_a_payment_can_be_fetched(box: Box) -> None:
    payment = box.paid(method="card", card_number="5555 5555 5555 4444", card_name="Asha Rao")
    card = box.ok("GET", f"/v1/payments/{payment['id']}/card")
    assert (card["network"], card["last4"], card["name"]) == ("MasterCard", "4444", "Asha Rao")
    assert card["international"] is True
    assert card["issuer"] is None
    assert payment["international"] is True
    error = box.error("GET", f"/v1/payments/{box.paid(method='upi')['id']}/card")
    assert error["description"] == "Payment was not done using card"


def test_a_failed_attempt_leaves_the_order_open_for_another(box: Box) -> None:
    order = box.order()
    failed = box.pay(order, outcome="failure", reason="insufficient_fund")["error"]
    assert failed["reason"] == "insufficient_fund"
    assert failed["metadata"]["order_id"] == order["id"]
    payment = box.payment(failed["metadata"]["payment_id"])
    assert (payment["status"], payment["captured"], payment["fee"]) == ("failed", False, None)
    assert payment["error_reason"] == "insufficient_fund"
    assert box.ok("GET", f"/v1/orders/{order['id']}")["status"] == "attempted"
    box.pay(order)
    order = box.ok("GET", f"/v1/orders/{order['id']}")
    assert (order["status"], order["attempts"]) == ("paid", 2)
    statuses = [p["status"] for p in box.ok("GET", f"/v1/orders/{order['id']}/payments")["items"]]
    assert statuses == ["captured", "failed"]


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
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
def test_the_vendors_error_cards_fail_in_their_own_way(
    box: Box, number: str, code: str, reason: str
) -> None:
    error = box.pay(box.order(), method="card", card_number=number)["error"]
    assert (error["code"], error["reason"]) == (code, reason)


def test_a_paid_order_takes_no_further_payment(box: Box) -> None:
    order = box.order()
    box.pay(order)
    again = box.stranger.post("/_sandbox/pay", json={"order_id": order["id"]})
    assert again.status_code == 400
    assert ALREADY_PAID in again.json()["error"]["description"]


def test_while_a_payment_is_authorized_no_other_is_taken(box: Box) -> None:
    order = box.order(payment={"capture": "manual"})
    box.pay(order)
    again = box.stranger.post("/_sandbox/pay", json={"order_id": order["id"]})
    assert again.status_code == 400
    assert box.ok("GET", f"/v1/orders/{order['id']}")["attempts"] == 1


def test_an_authorized_payment_is_captured_once_with_its_own_amount(box: Box) -> None:
    order = box.order(payment={"capture": "manual"})
    payment_id = box.pay(order)["razorpay_payment_id"]
    path = f"/v1/payments/{payment_id}/capture"
    assert box.payment(payment_id)["status"] == "authorized"
    error = box.error("POST", path, {"amount": 49_999, "currency": "INR"})
    assert error["description"] == "Capture amount must be equal to the amount authorized"
    assert box.error("POST", path, {"amount": 50_000, "currency": "USD"})["field"] == "currency"
    captured = box.ok("POST", path, {"amount": 50_000, "currency": "INR"})
    assert (captured["status"], captured["fee"]) == ("captured", 1180)
    again = box.error("POST", path, {"amount": 50_000, "currency": "INR"})
    assert ALREADY_PAID in again["description"]


def test_a_failed_payment_cannot_be_captured(box: Box) -> None:
    failed = box.pay(box.order(), outcome="failure")["error"]["metadata"]["payment_id"]
    error = box.error(
        "POST", f"/v1/payments/{failed}/capture", {"amount": 50_000, "currency": "INR"}
    )
    assert "authorized and not yet captured" in error["description"]


def test_an_uncaptured_payment_goes_back_by_itself(box: Box) -> None:
    order = box.order(
        payment={"capture": "manual", "capture_options": {"manual_expiry_period": 20}}
    )
    payment_id = box.pay(order)["razorpay_payment_id"]
    box.advance(19 * 60)
    assert box.payment(payment_id)["status"] == "authorized"
    box.advance(2 * 60)
    payment = box.payment(payment_id)
    assert (payment["status"], payment["captured"]) == ("refunded", False)
    assert (payment["refund_status"], payment["amount_refunded"]) == ("full", 50_000)
    assert box.ok("GET", f"/v1/payments/{payment_id}/refunds")["count"] == 1


def test_an_attempt_nobody_finishes_times_out(box: Box) -> None:
    payment_id = box.pay(box.order(), outcome="pending")["razorpay_payment_id"]
    assert box.payment(payment_id)["status"] == "created"
    box.advance(13 * 60)
    payment = box.payment(payment_id)
    assert (payment["status"], payment["error_reason"]) == ("failed", "payment_timed_out")


def test_a_payment_can_be_authorized_after_it_failed(box: Box) -> None:
    order = box.order()
    failed = box.pay(order, outcome="failure")["error"]["metadata"]["payment_id"]
    box.control(f"/payments/{failed}/authorize")
    payment = box.payment(failed)
    assert (payment["status"], payment["late_authorized"]) == ("captured", True)
    assert payment["error_code"] is None
    assert box.ok("GET", f"/v1/orders/{order['id']}")["status"] == "paid"


def test_a_late_authorization_of_a_paid_order_is_given_back(box: Box) -> None:
    order = box.order()
    failed = box.pay(order, outcome="failure")["error"]["metadata"]["payment_id"]
    box.pay(order)
    box.control(f"/payments/{failed}/authorize")
    payment = box.payment(failed)
    assert (payment["status"], payment["captured"]) == ("refunded", False)
    assert box.ok("GET", f"/v1/orders/{order['id']}")["amount_paid"] == 50_000


def test_an_order_in_parts_is_paid_when_its_last_part_is(box: Box) -> None:
    order = box.order(partial_payment=True, first_payment_min_amount=10_000)
    path = f"/v1/orders/{order['id']}"
    refused = box.stranger.post("/_sandbox/pay", json={"order_id": order["id"], "amount": 9_999})
    assert refused.status_code == 400
    box.pay(order, amount=20_000)
    order = box.ok("GET", path)
    assert (order["status"], order["amount_paid"], order["amount_due"]) == (
        "attempted",
        20_000,
        30_000,
    )
    box.pay(order)
    assert box.ok("GET", path)["status"] == "paid"


def test_closing_the_window_leaves_no_trace(box: Box) -> None:
    order = box.order()
    assert box.pay(order, outcome="dismiss") == {
        "dismissed": True,
        "razorpay_order_id": order["id"],
    }
    assert box.ok("GET", f"/v1/orders/{order['id']}") == order


def test_a_payment_expands_to_what_hangs_on_it(box: Box) -> None:
    payment = box.paid(method="card")
    box.ok("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 10_000})
    names = ["card", "emi", "offers", "refunds", "token", "transaction", "transaction.settlement"]
    path = f"/v1/payments/{payment['id']}"
    full = box.ok("GET", path, params={"expand[]": names})
    assert full["card"]["network"] == "Visa"
    assert full["refunds"]["items"][0]["amount"] == 10_000
    assert full["offers"]["items"] == []
    assert full["emi"] is full["token"] is None
    assert full["transaction"]["credit"] == 48_820
    assert full["transaction"]["settlement"] is None
    assert box.error("GET", path, params={"expand[]": "x"})["field"] == "expand"


def test_notes_of_a_payment_can_be_changed(box: Box) -> None:
    payment = box.paid()
    changed = box.ok("PATCH", f"/v1/payments/{payment['id']}", {"notes": {"k": "v"}})
    assert changed["notes"] == {"k": "v"}
    assert box.payment(payment["id"])["notes"] == {"k": "v"}


@pytest.mark.parametrize(
    "play",
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
def test_an_impossible_play_is_refused_and_changes_nothing(box: Box, play: dict[str, str]) -> None:
    order = box.order()
    answer = box.stranger.post("/_sandbox/pay", json={"order_id": order["id"], **play})
    assert answer.status_code == 400
    assert answer.json()["error"]["description"]
    assert box.ok("GET", f"/v1/orders/{order['id']}") == order
