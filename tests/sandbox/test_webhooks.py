import json
from typing import Any

import razorpay

from tests.sandbox.box import WEBHOOK_SECRET, Box, Receiver, wait_for

DAY = 86_400


def test_a_payment_tells_its_story_in_order(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    order = box.order()
    payment_id = box.pay(order)["razorpay_payment_id"]
    hooks = receiver.wait(3)
    assert [hook.event for hook in hooks] == [
        "payment.authorized",
        "payment.captured",
        "order.paid",
    ]
    assert len({hook.event_id for hook in hooks}) == 3
    paid = json.loads(hooks[2].body)
    assert set(paid) == {"entity", "account_id", "event", "contains", "payload", "created_at"}
    assert paid["entity"] == "event"
    assert paid["contains"] == ["payment", "order"]
    assert paid["payload"]["payment"]["entity"]["id"] == payment_id
    assert paid["payload"]["order"]["entity"]["amount_paid"] == 50_000
    snapshot = json.loads(hooks[0].body)["payload"]["payment"]["entity"]
    assert (snapshot["status"], snapshot["captured"]) == ("authorized", False)


def test_the_vendors_own_utility_accepts_the_signature(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.paid()
    utility = razorpay.Client(auth=("key", "secret")).utility
    for hook in receiver.wait(3):
        utility.verify_webhook_signature(hook.body.decode(), hook.signature, WEBHOOK_SECRET)
        assert hook.headers["content-type"] == "application/json"


def test_refunds_failures_and_disputes_are_told(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    order = box.order()
    box.pay(order, outcome="failure")
    payment_id = box.pay(order)["razorpay_payment_id"]
    path = f"/v1/payments/{payment_id}/refund"
    box.ok("POST", path, {"amount": 2_468, "speed": "optimum"})
    dispute = box.control("/disputes", payment_id=payment_id, amount=1_000)["id"]
    box.control(f"/disputes/{dispute}/resolve", status="lost")
    box.fault("refund_fails_later", options={"seconds": 5})
    box.ok("POST", path, {"amount": 100})
    box.advance(6)
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
    contains = {hook.event: json.loads(hook.body)["contains"] for hook in receiver.hooks}
    assert contains["refund.processed"] == ["refund", "payment"]
    assert contains["payment.dispute.lost"] == ["payment", "dispute"]
    box.control("/settle")
    wait_for(lambda: "settlement.processed" in receiver.events)


def test_each_endpoint_gets_what_it_asked_for_under_its_own_secret(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    second = Receiver()
    try:
        box.control("/webhooks", url=second.url, secret="another", events=["order.paid"])
        box.paid()
        (hook,) = second.wait(1)
        assert hook.event == "order.paid"
        twin = next(h for h in receiver.wait(3) if h.event == "order.paid")
        assert twin.event_id == hook.event_id
        assert twin.body == hook.body
        assert twin.signature != hook.signature
    finally:
        second.close()


def test_another_keys_events_do_not_come_here(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    order = box.other.post("/v1/orders", json={"amount": 100, "currency": "INR"}).json()
    box.pay(order)
    box.paid()
    receiver.wait(3)
    assert all(order["id"].encode() not in hook.body for hook in receiver.hooks)


def test_a_refused_event_comes_again_under_the_same_id(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers.extend([500, 302])
    box.pay(box.order(), outcome="failure")
    hooks = receiver.wait(3)
    assert {hook.event for hook in hooks} == {"payment.failed"}
    assert len({(hook.event_id, hook.body, hook.signature) for hook in hooks}) == 1
    delivery = wait_for(lambda: box.look("/deliveries?status=delivered")["items"])[0]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 200]
    assert delivery["attempts"][2]["response_body"] == "ok"
    assert delivery["attempts"][0]["request_headers"]["X-Razorpay-Signature"] == hooks[0].signature


def test_an_endpoint_that_keeps_silent_is_tried_again(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers.append(None)
    box.pay(box.order(), outcome="failure")
    receiver.wait(2)
    delivery = wait_for(lambda: box.look("/deliveries?status=delivered")["items"])[0]
    assert delivery["attempts"][0]["error"] == "no answer within 1 s"
    assert delivery["attempts"][0]["status"] is None


def test_pauses_double_and_a_webhook_deaf_for_24_hours_is_disabled(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.control("/clock", now=1_767_225_600, frozen=True)
    receiver.otherwise = 503
    box.pay(box.order(), outcome="failure")
    for tries, pause in ((1, 0.2), (2, 0.4), (3, 0.8)):
        wait_for(lambda tries=tries: box.look("/deliveries")["items"][0]["tries"] == tries)  # type: ignore[misc]
        box.advance(pause)
    wait_for(lambda: box.look("/deliveries")["items"][0]["tries"] == 4)
    box.advance(DAY)
    delivery = wait_for(lambda: box.look("/deliveries?status=failed")["items"])[0]
    assert delivery["tries"] == 5
    endpoint = box.look(f"/webhooks/{webhook['id']}")
    assert endpoint["active"] is False
    assert "24 hours" in endpoint["disabled_reason"]
    assert "disabled" in box.look("/mailbox")["items"][0]["text"]
    box.paid()
    assert len(box.look("/deliveries")["items"]) == 1


def test_a_webhook_can_be_enabled_again_and_a_delivery_resent(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    path = f"/webhooks/{webhook['id']}"
    receiver.answers.append(410)
    box.control("/clock", now=1_767_225_600, frozen=True)
    box.pay(box.order(), outcome="failure")
    receiver.wait(1)
    box.control(path, "PATCH", active=False)
    box.advance(1)
    delivery = wait_for(lambda: box.look("/deliveries?status=failed")["items"])[0]
    resend = f"/_sandbox/deliveries/{delivery['id']}/resend"
    assert box.stranger.post(resend).status_code == 409
    box.control(path, "PATCH", active=True)
    assert box.stranger.post(resend).status_code == 200
    first, second = receiver.wait(2)
    assert (first.event_id, first.body) == (second.event_id, second.body)


def test_an_old_event_resent_in_vain_does_not_disable_the_webhook(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    box.pay(box.order(), outcome="failure")
    delivery = wait_for(lambda: box.look("/deliveries?status=delivered")["items"])[0]
    box.advance(3 * DAY)
    receiver.answers.append(500)
    box.control(f"/deliveries/{delivery['id']}/resend")
    wait_for(lambda: box.look("/deliveries?status=failed")["items"])
    assert box.look(f"/webhooks/{webhook['id']}")["active"] is True


def test_after_a_change_of_secret_earlier_events_keep_the_old_one(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers.append(500)
    box.control("/clock", now=1_767_225_600, frozen=True)
    box.pay(box.order(), outcome="failure")
    (first,) = receiver.wait(1)
    changed = box.control(f"/webhooks/{webhook['id']}", "PATCH", secret="the new one")
    assert changed["previous_secret"] == WEBHOOK_SECRET
    box.advance(1)
    assert receiver.wait(2)[1].signature == first.signature
    utility = razorpay.Client(auth=("key", "secret")).utility
    box.pay(box.order(), outcome="failure")
    fresh = receiver.wait(3)[2]
    utility.verify_webhook_signature(fresh.body.decode(), fresh.signature, "the new one")


def test_bad_webhooks_are_refused(box: Box) -> None:
    good = {"url": "http://127.0.0.1:9/x", "secret": "s"}
    for bad in (
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
        answer = box.stranger.post("/_sandbox/webhooks", json={**good, **bad})
        assert answer.status_code == 400, bad
        assert answer.json()["error"]["description"]
    assert box.look("/webhooks")["count"] == 0
    assert box.stranger.get("/_sandbox/webhooks/whk_1").status_code == 404
    assert box.stranger.post("/_sandbox/deliveries/dlv_1/resend").status_code == 404
