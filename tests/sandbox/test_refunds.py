import pytest

from tests.sandbox.box import Box

KEY = {"X-Refund-Idempotency": "refund-key-0001"}


def test_a_refund_without_amount_returns_everything(box: Box) -> None:
    payment = box.paid()
    refund = box.ok("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert refund == {
        "id": refund["id"],
        "entity": "refund",
        "amount": 50_000,
        "currency": "INR",
        "payment_id": payment["id"],
        "notes": [],
        "receipt": None,
        "acquirer_data": {"arn": None},
        "created_at": refund["created_at"],
        "batch_id": None,
        "status": "processed",
        "speed_processed": "normal",
        "speed_requested": "normal",
    }
    payment = box.payment(payment["id"])
    assert (payment["status"], payment["refund_status"]) == ("refunded", "full")
    order = box.ok("GET", f"/v1/orders/{payment['order_id']}")
    assert (order["status"], order["amount_paid"]) == ("paid", 50_000)


def test_parts_add_up_and_never_pass_what_was_captured(box: Box) -> None:
    path = f"/v1/payments/{box.paid()['id']}"
    box.ok("POST", f"{path}/refund", {"amount": 20_000})
    payment = box.ok("GET", path)
    assert (payment["status"], payment["refund_status"]) == ("captured", "partial")
    error = box.error("POST", f"{path}/refund", {"amount": 30_001})
    assert error["description"] == "The refund amount provided is greater than amount captured"
    assert (error["source"], error["step"], error["reason"]) == ("NA", "NA", "NA")
    box.ok("POST", f"{path}/refund", {"amount": "30000"})
    error = box.error("POST", f"{path}/refund", {"amount": 100})
    assert error["description"] == "The payment has been fully refunded already"
    assert box.ok("GET", path)["amount_refunded"] == 50_000


@pytest.mark.parametrize("outcome", ["authorized", "failure", "pending"])
def test_only_a_captured_payment_can_be_refunded(box: Box, outcome: str) -> None:
    played = box.pay(box.order(), outcome=outcome)
    payment_id = played.get("razorpay_payment_id") or played["error"]["metadata"]["payment_id"]
    error = box.error("POST", f"/v1/payments/{payment_id}/refund", {})
    assert "should be captured" in error["description"]


@pytest.mark.parametrize(
    "body",
    [{"amount": 99}, {"amount": 0}, {"amount": -1}, {"amount": 1.5}, {"speed": "fast"}, {"x": 1},
     {"receipt": "r" * 41}, {"notes": "x"}],
)  # fmt: skip
def test_a_bad_refund_is_refused_and_moves_nothing(box: Box, body: dict[str, object]) -> None:
    payment = box.paid()
    box.error("POST", f"/v1/payments/{payment['id']}/refund", body)
    assert box.payment(payment["id"]) == payment


def test_the_same_key_and_body_give_the_same_refund(box: Box) -> None:
    path = f"/v1/payments/{box.paid()['id']}/refund"
    first = box.ok("POST", path, {"amount": 20_000}, headers=KEY)
    assert box.ok("POST", path, {"amount": 20_000}, headers=KEY) == first
    assert box.ok("GET", "/v1/refunds")["count"] == 1
    error = box.error("POST", path, {"amount": 10_000}, headers=KEY)
    assert error["description"].startswith("Different request with the same idempotency key")
    assert (
        "idempotency key"
        in box.error("POST", path, {}, headers={"X-Refund-Idempotency": "short"})["description"]
    )


def test_a_key_in_progress_is_a_conflict(box: Box) -> None:
    path = f"/v1/payments/{box.paid()['id']}/refund"
    box.fault("refund_in_progress")
    answer = box.api.post(path, json={}, headers=KEY)
    assert answer.status_code == 409
    assert "still in progress" in answer.json()["error"]["description"]
    assert box.ok("POST", path, {}, headers=KEY)["status"] == "processed"


def test_an_optimum_refund_is_instant_but_for_the_reserved_amount(box: Box) -> None:
    path = f"/v1/payments/{box.paid()['id']}/refund"
    instant = box.ok("POST", path, {"amount": 1_000, "speed": "optimum"})
    assert (instant["speed_requested"], instant["speed_processed"]) == ("optimum", "instant")
    normal = box.ok("POST", path, {"amount": 2_468, "speed": "optimum"})
    assert (normal["speed_requested"], normal["speed_processed"]) == ("optimum", "normal")


def test_refunds_are_found_by_payment_by_id_and_in_a_list(box: Box) -> None:
    payment, other = box.paid(), box.paid()
    path = f"/v1/payments/{payment['id']}"
    refund = box.ok(
        "POST", "/v1/refunds", {"payment_id": payment["id"], "amount": 100, "receipt": "R1"}
    )
    stray = box.ok("POST", f"/v1/payments/{other['id']}/refund", {"amount": 100})
    assert box.ok("GET", f"/v1/refunds/{refund['id']}") == refund
    assert box.ok("GET", f"{path}/refunds/{refund['id']}") == refund
    assert box.ok("GET", f"{path}/refunds")["items"] == [refund]
    assert [r["id"] for r in box.ok("GET", "/v1/refunds")["items"]] == [stray["id"], refund["id"]]
    box.error("GET", f"{path}/refunds/{stray['id']}")
    changed = box.ok("PATCH", f"/v1/refunds/{refund['id']}", {"notes": {"why": "late"}})
    assert changed["notes"] == {"why": "late"}


def test_a_refund_that_fails_later_gives_the_amount_back_to_the_payment(box: Box) -> None:
    payment = box.paid()
    box.fault("refund_fails_later", options={"seconds": 60})
    refund = box.ok("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert refund["status"] == "pending"
    assert box.payment(payment["id"])["status"] == "refunded"
    box.advance(61)
    assert box.ok("GET", f"/v1/refunds/{refund['id']}")["status"] == "failed"
    after = box.payment(payment["id"])
    assert (after["status"], after["amount_refunded"], after["refund_status"]) == (
        "captured",
        0,
        None,
    )


def test_a_pending_refund_is_processed_in_its_time(box: Box) -> None:
    payment = box.paid()
    box.fault("refund_pending", options={"seconds": 60})
    refund = box.ok("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 500})
    assert refund["status"] == "pending"
    box.advance(61)
    assert box.ok("GET", f"/v1/refunds/{refund['id']}")["status"] == "processed"


def test_a_low_balance_refuses_a_refund(box: Box) -> None:
    payment = box.paid()
    box.fault("low_balance")
    error = box.error("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert "enough balance" in error["description"]
    assert box.payment(payment["id"]) == payment


def test_a_payment_older_than_six_months_cannot_be_refunded(box: Box) -> None:
    payment = box.paid()
    box.advance(184 * 86_400)
    error = box.error("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert "more than 6 months old" in error["description"]
