import time
from typing import Any

import httpx
import pytest

from kernapay.sandbox.signing import sign
from tests.sandbox.sandbox_process import WEBHOOK_SECRET, SandboxProcess, wait_for
from tests.sandbox.webhook_receiver import WebhookReceiver

ORDER = {"amount": 50_000, "currency": "INR", "receipt": "lost"}


def count_orders(sandbox: SandboxProcess, **params: str) -> int:
    return int(sandbox.call("GET", "/v1/orders", params=params)["count"])


def test_a_call_with_a_lost_answer_is_carried_out(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("answer_lost")
    with pytest.raises(httpx.TransportError):
        sandbox.api.post("/v1/orders", json=ORDER)
    assert count_orders(sandbox, receipt="lost") == 1


def test_a_call_with_a_reset_connection_is_not_carried_out(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("reset")
    with pytest.raises(httpx.TransportError):
        sandbox.api.post("/v1/orders", json=ORDER)
    assert count_orders(sandbox) == 0


def test_a_call_with_a_delayed_answer_is_carried_out_at_once(
    sandbox: SandboxProcess,
) -> None:
    sandbox.arm_fault("delay", options={"seconds": 1.5})
    with pytest.raises(httpx.ReadTimeout):
        sandbox.api.post("/v1/orders", json=ORDER, timeout=0.3)
    assert count_orders(sandbox) == 1


def test_a_delay_changes_only_the_time_of_the_answer(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("delay", options={"seconds": 0.3})
    start = time.monotonic()
    assert sandbox.create_order()["status"] == "created"
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("rate_limit", 429, "BAD_REQUEST_ERROR"), ("server_error", 500, "SERVER_ERROR")],
)
def test_an_injected_error_has_the_vendors_envelope(
    sandbox: SandboxProcess, name: str, status: int, code: str
) -> None:
    sandbox.arm_fault(name)
    response = sandbox.api.post("/v1/orders", json=ORDER)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert count_orders(sandbox) == 0


def test_a_bad_gateway_responds_with_html(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("bad_gateway_html")
    response = sandbox.api.post("/v1/orders", json=ORDER)
    assert response.status_code == 502
    assert response.headers["content-type"] == "text/html"
    assert "<html>" in response.text
    assert count_orders(sandbox) == 0


def test_a_wrong_amount_is_only_in_the_answer(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("wrong_amount", times=2, options={"by": -100})
    order = sandbox.create_order()
    assert order["amount"] == 49_900
    assert sandbox.call("GET", "/v1/orders")["items"][0]["amount"] == 49_900
    assert sandbox.call("GET", "/v1/orders")["items"][0]["amount"] == 50_000


def test_an_odd_entity_is_the_first_of_its_list_and_only_in_the_answer(
    sandbox: SandboxProcess,
) -> None:
    for _ in range(2):
        sandbox.create_order()
    sandbox.arm_fault("odd_entity")
    amounts = [item["amount"] for item in sandbox.call("GET", "/v1/orders")["items"]]
    assert amounts == ["much", 50_000]
    amounts = [item["amount"] for item in sandbox.call("GET", "/v1/orders")["items"]]
    assert amounts == [50_000, 50_000]


def test_a_refusal_is_in_the_gateways_envelope(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("refused", route="/v1/refunds")
    response = sandbox.api.get("/v1/refunds")
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "BAD_REQUEST_ERROR"


def test_a_fault_applies_a_number_of_times_to_its_route_and_method(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("server_error", times=2, route="/v1/orders", method="POST")
    statuses = [sandbox.api.get("/v1/orders").status_code]
    statuses += [sandbox.api.post("/v1/orders", json=ORDER).status_code for _ in range(3)]
    assert statuses == [200, 500, 500, 200]
    assert sandbox.inspect("/faults")["count"] == 0


def test_one_call_uses_up_only_one_of_two_equal_faults(sandbox: SandboxProcess) -> None:
    for _ in range(2):
        sandbox.arm_fault("rate_limit")
        sandbox.arm_fault("webhook_drop")
    assert [sandbox.api.get("/v1/orders").status_code for _ in range(3)] == [429, 429, 200]
    sandbox.control("/webhooks", url="http://127.0.0.1:9/x", secret="s")
    sandbox.pay(sandbox.create_order(), outcome="failure")
    assert [fault["name"] for fault in sandbox.inspect("/faults")["items"]] == ["webhook_drop"]


def test_a_route_may_have_wildcards(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    sandbox.arm_fault("server_error", route="/v1/payments/*/refund")
    assert sandbox.api.get(f"/v1/payments/{payment['id']}").status_code == 200
    assert sandbox.api.post(f"/v1/payments/{payment['id']}/refund", json={}).status_code == 500


def test_a_fault_without_a_limit_lasts_until_it_is_removed(sandbox: SandboxProcess) -> None:
    fault = sandbox.arm_fault("rate_limit", times=None)
    assert {sandbox.api.get("/v1/orders").status_code for _ in range(5)} == {429}
    sandbox.control(f"/faults/{fault['id']}", "DELETE")
    assert sandbox.api.get("/v1/orders").status_code == 200


def test_a_seed_hits_the_same_calls_every_time(sandbox: SandboxProcess) -> None:
    def statuses(seed: int) -> list[int]:
        sandbox.control("/faults", "DELETE")
        sandbox.arm_fault("rate_limit", times=None, probability=0.5, seed=seed)
        return [sandbox.api.get("/v1/orders").status_code for _ in range(30)]

    first = statuses(7)
    assert statuses(7) == first
    assert statuses(8) != first
    assert 5 < first.count(429) < 25


@pytest.mark.parametrize(
    "body",
    [
        {"name": "earthquake"},
        {"name": "delay", "times": 0},
        {"name": "delay", "probability": 0},
        {"name": "delay", "probability": 1.5},
        {"name": "delay", "options": {"seconds": -1}},
        {"name": "delay", "options": {"seconds": "soon"}},
        {"name": "delay", "options": {"minutes": 1}},
        {"name": "wrong_amount", "options": {"by": 0}},
        {"name": "webhook_old_secret", "options": {"secret": 5}},
        {"name": "delay", "colour": "red"},
        {},
        {"name": 5},
    ],
)
def test_an_invalid_fault_is_refused(sandbox: SandboxProcess, body: dict[str, Any]) -> None:
    response = sandbox.anonymous.post("/_sandbox/faults", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["description"]
    assert sandbox.inspect("/faults")["count"] == 0


def test_the_catalogue_describes_each_fault(sandbox: SandboxProcess) -> None:
    catalogue = {kind["name"]: kind for kind in sandbox.inspect("/faults/catalogue")}
    assert {"answer_lost", "webhook_drop", "late_authorization", "dispute"} <= set(catalogue)
    assert all(kind["says"] for kind in catalogue.values())


def test_a_duplicated_event_is_delivered_twice_with_one_id(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.arm_fault("webhook_duplicate", route="payment.captured")
    sandbox.create_payment()
    first, second = (w for w in receiver.wait_for(4) if w.event == "payment.captured")
    assert first.event_id == second.event_id
    assert first.body == second.body


def test_a_reordered_event_is_delivered_after_the_next(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.arm_fault("webhook_reorder", route="payment.authorized")
    sandbox.create_payment()
    receiver.wait_for(3)
    assert receiver.events == ["payment.captured", "payment.authorized", "order.paid"]


def test_a_reordered_event_is_delivered_even_if_none_follows(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.arm_fault("webhook_reorder", options={"seconds": 30})
    sandbox.pay(sandbox.create_order(), outcome="failure")
    sandbox.advance_clock(31)
    receiver.wait_for(1)


def test_a_delayed_event_is_delivered_later(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.arm_fault("webhook_delay", route="order.paid", options={"seconds": 3600})
    sandbox.create_payment()
    receiver.wait_for(2)
    pending = sandbox.inspect("/deliveries?status=pending")["items"]
    assert [delivery["event"] for delivery in pending] == ["order.paid"]
    sandbox.advance_clock(3601)
    assert receiver.wait_for(3)[2].event == "order.paid"


def test_a_dropped_event_is_delivered_only_if_resent(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.arm_fault("webhook_drop", route="payment.captured")
    sandbox.create_payment()
    receiver.wait_for(2)
    wait_for(lambda: len(sandbox.inspect("/deliveries?status=delivered")["items"]) == 2)
    assert sorted(receiver.events) == ["order.paid", "payment.authorized"]
    (dropped,) = sandbox.inspect("/deliveries?status=dropped")["items"]
    sandbox.control(f"/deliveries/{dropped['id']}/resend")
    assert receiver.wait_for(3)[2].event == "payment.captured"


def test_an_event_can_be_signed_with_an_old_secret(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.control(f"/webhooks/{webhook['id']}", "PATCH", secret="new")
    sandbox.pay(sandbox.create_order(), outcome="failure")
    sandbox.arm_fault("webhook_old_secret")
    sandbox.arm_fault("webhook_duplicate")
    sandbox.pay(sandbox.create_order(), outcome="failure")
    new, old, _ = receiver.wait_for(3)
    assert new.signature == sign("new", new.body)
    assert old.signature == sign(WEBHOOK_SECRET, old.body)


def test_a_late_authorization_follows_a_failure(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("late_authorization", options={"seconds": 600})
    payment_id = sandbox.fail_payment(sandbox.create_order())
    assert sandbox.fetch_payment(payment_id)["status"] == "failed"
    sandbox.advance_clock(601)
    assert sandbox.fetch_payment(payment_id)["status"] == "captured"


def test_an_auto_refund_refunds_an_uncaptured_payment(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.arm_fault("auto_refund", options={"seconds": 60})
    payment_id = sandbox.pay(sandbox.create_order())["razorpay_payment_id"]
    assert sandbox.fetch_payment(payment_id)["status"] == "authorized"
    sandbox.advance_clock(61)
    assert sandbox.fetch_payment(payment_id)["status"] == "refunded"
    receiver.wait_for(3)
    assert receiver.events == ["payment.authorized", "refund.created", "refund.processed"]


def test_a_dispute_fault_opens_a_dispute_after_the_next_capture(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("dispute", options={"seconds": 5})
    payment = sandbox.create_payment()
    assert sandbox.call("GET", "/v1/disputes")["count"] == 0
    sandbox.advance_clock(6)
    assert sandbox.call("GET", "/v1/disputes")["items"][0]["payment_id"] == payment["id"]
