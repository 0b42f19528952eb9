import json
from functools import partial
from typing import Any

import razorpay

from tests.sandbox.sandbox_process import DAY, WEBHOOK_SECRET, SandboxProcess, wait_for
from tests.sandbox.webhook_receiver import WebhookReceiver


def has_tries(sandbox: SandboxProcess, tries: int) -> bool:
    """Return whether the newest delivery has been tried this many times."""
    return bool(sandbox.inspect("/deliveries")["items"][0]["tries"] == tries)


def test_a_payments_events_are_delivered_in_order(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    order = sandbox.create_order()
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    webhooks = receiver.wait_for(3)
    assert receiver.events == ["payment.authorized", "payment.captured", "order.paid"]
    assert len({webhook.event_id for webhook in webhooks}) == 3
    event = json.loads(webhooks[2].body)
    assert set(event) == {"entity", "account_id", "event", "contains", "payload", "created_at"}
    assert event["entity"] == "event"
    assert event["contains"] == ["payment", "order"]
    assert event["payload"]["payment"]["entity"]["id"] == payment_id
    assert event["payload"]["order"]["entity"]["amount_paid"] == 50_000
    payment = json.loads(webhooks[0].body)["payload"]["payment"]["entity"]
    assert (payment["status"], payment["captured"]) == ("authorized", False)


def test_the_vendors_own_utility_accepts_the_signature(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.create_payment()
    utility = razorpay.Client(auth=("key", "secret")).utility
    for received in receiver.wait_for(3):
        utility.verify_webhook_signature(received.body.decode(), received.signature, WEBHOOK_SECRET)
        assert received.headers["content-type"] == "application/json"


def test_refunds_failures_and_disputes_have_their_events(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    order = sandbox.create_order()
    sandbox.pay(order, outcome="failure")
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    path = f"/v1/payments/{payment_id}/refund"
    sandbox.call("POST", path, {"amount": 2_468, "speed": "optimum"})
    dispute_id = sandbox.control("/disputes", payment_id=payment_id, amount=1_000)["id"]
    sandbox.control(f"/disputes/{dispute_id}/resolve", status="lost")
    sandbox.arm_fault("refund_fails_later", options={"seconds": 5})
    sandbox.call("POST", path, {"amount": 100})
    sandbox.advance_clock(6)
    wait_for(lambda: "refund.failed" in receiver.events)
    assert receiver.events == [
        "payment.failed",
        "payment.authorized",
        "payment.captured",
        "order.paid",
        "refund.created",
        "refund.speed_changed",
        "refund.processed",
        "payment.dispute.created",
        "payment.dispute.lost",
        "refund.created",
        "refund.failed",
    ]
    contains = {w.event: json.loads(w.body)["contains"] for w in receiver.webhooks}
    assert contains["refund.processed"] == ["refund", "payment"]
    assert contains["payment.dispute.lost"] == ["payment", "dispute"]
    sandbox.control("/settle")
    wait_for(lambda: "settlement.processed" in receiver.events)


def test_each_endpoint_gets_its_own_events_with_its_own_secret(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    other_receiver = WebhookReceiver()
    try:
        sandbox.control(
            "/webhooks", url=other_receiver.url, secret="another", events=["order.paid"]
        )
        sandbox.create_payment()
        (other,) = other_receiver.wait_for(1)
        assert other.event == "order.paid"
        same = next(w for w in receiver.wait_for(3) if w.event == "order.paid")
        assert same.event_id == other.event_id
        assert same.body == other.body
        assert same.signature != other.signature
    finally:
        other_receiver.close()


def test_an_endpoint_gets_no_events_of_another_key(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    order = sandbox.other_api.post("/v1/orders", json={"amount": 100, "currency": "INR"}).json()
    sandbox.pay(order)
    sandbox.create_payment()
    receiver.wait_for(3)
    assert all(order["id"].encode() not in w.body for w in receiver.webhooks)


def test_a_refused_event_is_retried_with_the_same_id(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    receiver.statuses.extend([500, 302])
    sandbox.pay(sandbox.create_order(), outcome="failure")
    webhooks = receiver.wait_for(3)
    assert {w.event for w in webhooks} == {"payment.failed"}
    assert len({(w.event_id, w.body, w.signature) for w in webhooks}) == 1
    delivery = wait_for(lambda: sandbox.inspect("/deliveries?status=delivered")["items"])[0]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 200]
    assert delivery["attempts"][2]["response_body"] == "ok"
    assert (
        delivery["attempts"][0]["request_headers"]["X-Razorpay-Signature"] == webhooks[0].signature
    )


def test_an_event_is_retried_if_the_endpoint_does_not_respond(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    receiver.statuses.append(None)
    sandbox.pay(sandbox.create_order(), outcome="failure")
    receiver.wait_for(2)
    delivery = wait_for(lambda: sandbox.inspect("/deliveries?status=delivered")["items"])[0]
    assert delivery["attempts"][0]["error"] == "no answer within 1 s"
    assert delivery["attempts"][0]["status"] is None


def test_retry_delays_double_and_after_24_hours_the_webhook_is_disabled(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.freeze_clock()
    receiver.default_status = 503
    sandbox.pay(sandbox.create_order(), outcome="failure")
    for tries, delay in ((1, 0.2), (2, 0.4), (3, 0.8), (4, DAY)):
        wait_for(partial(has_tries, sandbox, tries))
        sandbox.advance_clock(delay)
    delivery = wait_for(lambda: sandbox.inspect("/deliveries?status=failed")["items"])[0]
    assert delivery["tries"] == 5
    endpoint = sandbox.inspect(f"/webhooks/{webhook['id']}")
    assert endpoint["active"] is False
    assert "24 hours" in endpoint["disabled_reason"]
    assert "disabled" in sandbox.inspect("/mailbox")["items"][0]["text"]
    sandbox.create_payment()
    assert len(sandbox.inspect("/deliveries")["items"]) == 1


def test_a_webhook_can_be_enabled_again_and_a_delivery_resent(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    path = f"/webhooks/{webhook['id']}"
    receiver.statuses.append(410)
    sandbox.freeze_clock()
    sandbox.pay(sandbox.create_order(), outcome="failure")
    receiver.wait_for(1)
    sandbox.control(path, "PATCH", active=False)
    sandbox.advance_clock(1)
    delivery = wait_for(lambda: sandbox.inspect("/deliveries?status=failed")["items"])[0]
    resend = f"/_sandbox/deliveries/{delivery['id']}/resend"
    assert sandbox.anonymous.post(resend).status_code == 409
    sandbox.control(path, "PATCH", active=True)
    assert sandbox.anonymous.post(resend).status_code == 200
    first, second = receiver.wait_for(2)
    assert (first.event_id, first.body) == (second.event_id, second.body)


def test_a_failed_resend_of_an_old_event_does_not_disable_the_webhook(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.pay(sandbox.create_order(), outcome="failure")
    delivery = wait_for(lambda: sandbox.inspect("/deliveries?status=delivered")["items"])[0]
    sandbox.advance_clock(3 * DAY)
    receiver.statuses.append(500)
    sandbox.control(f"/deliveries/{delivery['id']}/resend")
    wait_for(lambda: sandbox.inspect("/deliveries?status=failed")["items"])
    assert sandbox.inspect(f"/webhooks/{webhook['id']}")["active"] is True


def test_earlier_events_keep_the_old_secret_after_it_changes(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    receiver.statuses.append(500)
    sandbox.freeze_clock()
    sandbox.pay(sandbox.create_order(), outcome="failure")
    (first,) = receiver.wait_for(1)
    sandbox.control(f"/webhooks/{webhook['id']}", "PATCH", secret="the new one")
    sandbox.advance_clock(1)
    assert receiver.wait_for(2)[1].signature == first.signature
    utility = razorpay.Client(auth=("key", "secret")).utility
    sandbox.pay(sandbox.create_order(), outcome="failure")
    later = receiver.wait_for(3)[2]
    utility.verify_webhook_signature(later.body.decode(), later.signature, "the new one")


def test_an_invalid_webhook_is_refused(sandbox: SandboxProcess) -> None:
    valid = {"url": "http://127.0.0.1:9/x", "secret": "s"}
    for change in (
        {"url": "ftp://x/"},
        {"url": "http://"},
        {"url": "http://[::1"},
        {"url": "http://x:99999/"},
        {"secret": ""},
        {"events": ["order.created"]},
        {"key_id": "rzp_test_nobody"},
        {"colour": "red"},
        {"url": 5},
    ):
        response = sandbox.anonymous.post("/_sandbox/webhooks", json={**valid, **change})
        assert response.status_code == 400, change
        assert response.json()["error"]["description"]
    assert sandbox.inspect("/webhooks")["count"] == 0
    assert sandbox.anonymous.get("/_sandbox/webhooks/whk_1").status_code == 404
    assert sandbox.anonymous.post("/_sandbox/deliveries/dlv_1/resend").status_code == 404
