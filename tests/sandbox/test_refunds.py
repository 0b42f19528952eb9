import pytest

from tests.sandbox.sandbox_process import DAY, SandboxProcess

KEY = {"X-Refund-Idempotency": "refund-key-0001"}


def test_a_refund_without_an_amount_is_for_the_whole_payment(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    refund = sandbox.call("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert refund == {
        "id": refund["id"],
        "entity": "refund",
        "amount": 50_000,
        "currency": "INR",
        "payment_id": payment["id"],
        "notes": [],
        "receipt": None,
        "acquirer_data": {"arn": refund["acquirer_data"]["arn"]},
        "created_at": refund["created_at"],
        "batch_id": None,
        "status": "processed",
        "speed_processed": "normal",
        "speed_requested": "normal",
    }
    payment = sandbox.fetch_payment(payment["id"])
    assert (payment["status"], payment["refund_status"]) == ("refunded", "full")
    order = sandbox.call("GET", f"/v1/orders/{payment['order_id']}")
    assert (order["status"], order["amount_paid"]) == ("paid", 50_000)


def test_partial_refunds_never_exceed_the_captured_amount(sandbox: SandboxProcess) -> None:
    path = f"/v1/payments/{sandbox.create_payment()['id']}"
    sandbox.call("POST", f"{path}/refund", {"amount": 20_000})
    payment = sandbox.call("GET", path)
    assert (payment["status"], payment["refund_status"]) == ("captured", "partial")
    error = sandbox.expect_error("POST", f"{path}/refund", {"amount": 30_001})
    assert error["description"] == "The refund amount provided is greater than amount captured"
    assert (error["source"], error["step"], error["reason"]) == ("NA", "NA", "NA")
    sandbox.call("POST", f"{path}/refund", {"amount": "30000"})
    error = sandbox.expect_error("POST", f"{path}/refund", {"amount": 100})
    assert error["description"] == "The payment has been fully refunded already"
    assert sandbox.call("GET", path)["amount_refunded"] == 50_000


@pytest.mark.parametrize("outcome", ["authorized", "failure", "pending"])
def test_only_a_captured_payment_can_be_refunded(sandbox: SandboxProcess, outcome: str) -> None:
    sandbox.pay(sandbox.create_order(), outcome=outcome)
    (payment,) = sandbox.call("GET", "/v1/payments")["items"]
    payment_id = payment["id"]
    error = sandbox.expect_error("POST", f"/v1/payments/{payment_id}/refund", {})
    assert "should be captured" in error["description"]


@pytest.mark.parametrize(
    "body",
    [{"amount": 99}, {"amount": 0}, {"amount": -1}, {"amount": 1.5}, {"speed": "fast"}, {"x": 1},
     {"receipt": "r" * 41}, {"notes": "x"}],
)  # fmt: skip
def test_an_invalid_refund_is_refused_and_changes_nothing(
    sandbox: SandboxProcess, body: dict[str, object]
) -> None:
    payment = sandbox.create_payment()
    sandbox.expect_error("POST", f"/v1/payments/{payment['id']}/refund", body)
    assert sandbox.fetch_payment(payment["id"]) == payment


def test_the_same_key_with_the_same_body_returns_the_same_refund(sandbox: SandboxProcess) -> None:
    path = f"/v1/payments/{sandbox.create_payment()['id']}/refund"
    first = sandbox.call("POST", path, {"amount": 20_000}, headers=KEY)
    assert sandbox.call("POST", path, {"amount": 20_000}, headers=KEY) == first
    assert sandbox.call("GET", "/v1/refunds")["count"] == 1
    error = sandbox.expect_error("POST", path, {"amount": 10_000}, headers=KEY)
    assert error["description"].startswith("Different request with the same idempotency key")
    assert (
        "idempotency key"
        in sandbox.expect_error("POST", path, {}, headers={"X-Refund-Idempotency": "short"})[
            "description"
        ]
    )


def test_a_key_in_progress_is_a_conflict(sandbox: SandboxProcess) -> None:
    path = f"/v1/payments/{sandbox.create_payment()['id']}/refund"
    sandbox.arm_fault("refund_in_progress")
    response = sandbox.api.post(path, json={}, headers=KEY)
    assert response.status_code == 409
    assert "still in progress" in response.json()["error"]["description"]
    assert sandbox.call("POST", path, {}, headers=KEY)["status"] == "processed"


def test_an_optimum_refund_is_instant_except_for_the_reserved_amount(
    sandbox: SandboxProcess,
) -> None:
    path = f"/v1/payments/{sandbox.create_payment()['id']}/refund"
    instant = sandbox.call("POST", path, {"amount": 1_000, "speed": "optimum"})
    assert (instant["speed_requested"], instant["speed_processed"]) == ("optimum", "instant")
    normal = sandbox.call("POST", path, {"amount": 2_468, "speed": "optimum"})
    assert (normal["speed_requested"], normal["speed_processed"]) == ("optimum", "normal")


def test_a_refund_is_found_by_payment_by_id_and_in_the_list(sandbox: SandboxProcess) -> None:
    payment, other = sandbox.create_payment(), sandbox.create_payment()
    path = f"/v1/payments/{payment['id']}"
    refund = sandbox.call(
        "POST", "/v1/refunds", {"payment_id": payment["id"], "amount": 100, "receipt": "R1"}
    )
    other_refund = sandbox.call("POST", f"/v1/payments/{other['id']}/refund", {"amount": 100})
    assert sandbox.call("GET", f"/v1/refunds/{refund['id']}") == refund
    assert sandbox.call("GET", f"{path}/refunds/{refund['id']}") == refund
    assert sandbox.call("GET", f"{path}/refunds")["items"] == [refund]
    assert [r["id"] for r in sandbox.call("GET", "/v1/refunds")["items"]] == [
        other_refund["id"],
        refund["id"],
    ]
    sandbox.expect_error("GET", f"{path}/refunds/{other_refund['id']}")
    changed = sandbox.call("PATCH", f"/v1/refunds/{refund['id']}", {"notes": {"why": "late"}})
    assert changed["notes"] == {"why": "late"}


def test_a_refund_that_fails_later_restores_the_payment(
    sandbox: SandboxProcess,
) -> None:
    payment = sandbox.create_payment()
    sandbox.arm_fault("refund_fails_later", options={"seconds": 60})
    refund = sandbox.call("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert refund["status"] == "pending"
    assert sandbox.fetch_payment(payment["id"])["status"] == "refunded"
    sandbox.advance_clock(61)
    assert sandbox.call("GET", f"/v1/refunds/{refund['id']}")["status"] == "failed"
    after = sandbox.fetch_payment(payment["id"])
    assert (after["status"], after["amount_refunded"], after["refund_status"]) == (
        "captured",
        0,
        None,
    )


def test_a_pending_refund_is_processed_later(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    sandbox.arm_fault("refund_pending", options={"seconds": 60})
    refund = sandbox.call("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 500})
    assert refund["status"] == "pending"
    sandbox.advance_clock(61)
    assert sandbox.call("GET", f"/v1/refunds/{refund['id']}")["status"] == "processed"


def test_a_low_balance_refuses_a_refund(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    sandbox.arm_fault("low_balance")
    error = sandbox.expect_error("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert "enough balance" in error["description"]
    assert sandbox.fetch_payment(payment["id"]) == payment


def test_a_payment_older_than_six_months_cannot_be_refunded(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    sandbox.advance_clock(184 * DAY)
    error = sandbox.expect_error("POST", f"/v1/payments/{payment['id']}/refund", {})
    assert "more than 6 months old" in error["description"]


def test_the_refunds_of_a_payment_are_listed_as_the_sdk_for_php_asks(
    sandbox: SandboxProcess,
) -> None:
    payment, other = sandbox.create_payment(), sandbox.create_payment()
    refund = sandbox.call("POST", "/v1/refunds/", {"payment_id": payment["id"], "amount": 100})
    sandbox.call("POST", "/v1/refunds/", {"payment_id": other["id"], "amount": 100})
    page = sandbox.call("GET", f"/v1/refunds/?payment_id={payment['id']}")
    assert page["items"] == [refund]
    assert sandbox.call("GET", "/v1/refunds/")["count"] == 2
    error = sandbox.expect_error("GET", "/v1/refunds?payment_id=pay_00000000000000")
    assert error["description"] == "The id provided does not exist"
