import time
from typing import Any

import httpx
import pytest

from kernapay.sandbox.signing import sign
from tests.sandbox.box import WEBHOOK_SECRET, Box, Receiver, wait_for

ORDER = {"amount": 50_000, "currency": "INR", "receipt": "lost"}


def count(box: Box, **params: str) -> int:
    return int(box.ok("GET", "/v1/orders", params=params)["count"])


def test_a_lost_answer_leaves_the_work_done(box: Box) -> None:
    box.fault("answer_lost")
    with pytest.raises(httpx.TransportError):
        box.api.post("/v1/orders", json=ORDER)
    assert count(box, receipt="lost") == 1


def test_a_reset_connection_leaves_nothing_done(box: Box) -> None:
    box.fault("reset")
    with pytest.raises(httpx.TransportError):
        box.api.post("/v1/orders", json=ORDER)
    assert count(box) == 0


def test_a_delayed_answer_has_done_the_work_before_the_client_gave_up(box: Box) -> None:
    box.fault("delay", options={"seconds": 1.5})
    with pytest.raises(httpx.ReadTimeout):
        box.api.post("/v1/orders", json=ORDER, timeout=0.3)
    assert count(box) == 1


def test_a_delay_is_only_a_delay(box: Box) -> None:
    box.fault("delay", options={"seconds": 0.3})
    started = time.monotonic()
    assert box.order()["status"] == "created"
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("rate_limit", 429, "BAD_REQUEST_ERROR"), ("server_error", 500, "SERVER_ERROR")],
)
def test_a_refusal_on_request_comes_in_the_vendors_envelope(
    box: Box, name: str, status: int, code: str
) -> None:
    box.fault(name)
    answer = box.api.post("/v1/orders", json=ORDER)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert count(box) == 0


def test_a_bad_gateway_speaks_html(box: Box) -> None:
    box.fault("bad_gateway_html")
    answer = box.api.post("/v1/orders", json=ORDER)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"
    assert "<html>" in answer.text
    assert count(box) == 0


def test_a_wrong_amount_is_only_in_the_answer(box: Box) -> None:
    box.fault("wrong_amount", times=2, options={"by": -100})
    order = box.order()
    assert order["amount"] == 49_900
    assert box.ok("GET", "/v1/orders")["items"][0]["amount"] == 49_900
    assert box.ok("GET", "/v1/orders")["items"][0]["amount"] == 50_000


def test_a_fault_strikes_so_many_times_on_its_route_and_method(box: Box) -> None:
    box.fault("server_error", times=2, route="/v1/orders", method="POST")
    statuses = [box.api.get("/v1/orders").status_code]
    statuses += [box.api.post("/v1/orders", json=ORDER).status_code for _ in range(3)]
    assert statuses == [200, 500, 500, 200]
    assert box.look("/faults")["count"] == 0


def test_of_two_equal_faults_one_call_uses_up_one(box: Box) -> None:
    for _ in range(2):
        box.fault("rate_limit")
        box.fault("webhook_drop")
    assert [box.api.get("/v1/orders").status_code for _ in range(3)] == [429, 429, 200]
    box.control("/webhooks", url="http://127.0.0.1:9/x", secret="s")
    box.pay(box.order(), outcome="failure")
    assert [fault["name"] for fault in box.look("/faults")["items"]] == ["webhook_drop"]


def test_a_route_may_have_wildcards(box: Box) -> None:
    payment = box.paid()
    box.fault("server_error", route="/v1/payments/*/refund")
    assert box.api.get(f"/v1/payments/{payment['id']}").status_code == 200
    assert box.api.post(f"/v1/payments/{payment['id']}/refund", json={}).status_code == 500


def test_a_fault_without_a_limit_lasts_until_it_is_removed(box: Box) -> None:
    fault = box.fault("rate_limit", times=None)
    assert {box.api.get("/v1/orders").status_code for _ in range(5)} == {429}
    box.control(f"/faults/{fault['id']}", "DELETE")
    assert box.api.get("/v1/orders").status_code == 200


def test_a_seeded_probability_strikes_the_same_calls_each_time(box: Box) -> None:
    def strikes(seed: int) -> list[int]:
        box.control("/faults", "DELETE")
        box.fault("rate_limit", times=None, probability=0.5, seed=seed)
        return [box.api.get("/v1/orders").status_code for _ in range(30)]

    first = strikes(7)
    assert strikes(7) == first
    assert strikes(8) != first
    assert 5 < first.count(429) < 25


@pytest.mark.parametrize(
    "bad",
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
def test_a_fault_that_makes_no_sense_is_refused(box: Box, bad: dict[str, Any]) -> None:
    answer = box.stranger.post("/_sandbox/faults", json=bad)
    assert answer.status_code == 400
    assert answer.json()["error"]["description"]
    assert box.look("/faults")["count"] == 0


def test_the_catalogue_says_what_each_fault_does(box: Box) -> None:
    catalogue = {kind["name"]: kind for kind in box.look("/faults/catalogue")}
    assert {"answer_lost", "webhook_drop", "late_authorization", "dispute"} <= set(catalogue)
    assert all(kind["says"] for kind in catalogue.values())


def test_a_duplicated_webhook_comes_twice_under_one_id(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.fault("webhook_duplicate", route="payment.captured")
    box.paid()
    hooks = receiver.wait(4)
    twins = [hook for hook in hooks if hook.event == "payment.captured"]
    assert len(twins) == 2
    assert twins[0].event_id == twins[1].event_id
    assert twins[0].body == twins[1].body


def test_a_reordered_webhook_comes_after_the_next(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.fault("webhook_reorder", route="payment.authorized")
    box.paid()
    receiver.wait(3)
    assert receiver.events == ["payment.captured", "payment.authorized", "order.paid"]


def test_a_reordered_webhook_comes_even_if_nothing_follows(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.fault("webhook_reorder", options={"seconds": 30})
    box.pay(box.order(), outcome="failure")
    box.advance(31)
    receiver.wait(1)


def test_a_delayed_webhook_waits_for_its_time(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.fault("webhook_delay", route="order.paid", options={"seconds": 3600})
    box.paid()
    receiver.wait(2)
    pending = box.look("/deliveries?status=pending")["items"]
    assert [delivery["event"] for delivery in pending] == ["order.paid"]
    box.advance(3601)
    assert receiver.wait(3)[2].event == "order.paid"


def test_a_dropped_webhook_never_comes_unless_resent(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.fault("webhook_drop", route="payment.captured")
    box.paid()
    receiver.wait(2)
    wait_for(lambda: len(box.look("/deliveries?status=delivered")["items"]) == 2)
    assert sorted(receiver.events) == ["order.paid", "payment.authorized"]
    (dropped,) = box.look("/deliveries?status=dropped")["items"]
    box.control(f"/deliveries/{dropped['id']}/resend")
    assert receiver.wait(3)[2].event == "payment.captured"


def test_a_webhook_can_be_signed_with_an_old_secret(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.control(f"/webhooks/{webhook['id']}", "PATCH", secret="new")
    box.pay(box.order(), outcome="failure")
    box.fault("webhook_old_secret")
    box.fault("webhook_duplicate")
    box.pay(box.order(), outcome="failure")
    fresh, old, _ = receiver.wait(3)
    assert fresh.signature == sign("new", fresh.body)
    assert old.signature == sign(WEBHOOK_SECRET, old.body)


def test_a_late_authorization_follows_a_failure(box: Box) -> None:
    box.fault("late_authorization", options={"seconds": 600})
    order = box.order()
    failed = box.pay(order, outcome="failure")["error"]["metadata"]["payment_id"]
    assert box.payment(failed)["status"] == "failed"
    box.advance(601)
    assert box.payment(failed)["status"] == "captured"


def test_an_auto_refund_returns_a_payment_nobody_captured(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.fault("auto_refund", options={"seconds": 60})
    payment_id = box.pay(box.order())["razorpay_payment_id"]
    assert box.payment(payment_id)["status"] == "authorized"
    box.advance(61)
    assert box.payment(payment_id)["status"] == "refunded"
    receiver.wait(3)
    assert receiver.events == ["payment.authorized", "refund.created", "refund.processed"]


def test_a_dispute_can_be_ordered_for_the_next_capture(box: Box) -> None:
    box.fault("dispute", options={"seconds": 5})
    payment = box.paid()
    assert box.ok("GET", "/v1/disputes")["count"] == 0
    box.advance(6)
    assert box.ok("GET", "/v1/disputes")["items"][0]["payment_id"] == payment["id"]
