"""What the vendor's plugins for WooCommerce and Magento ask besides orders and payments."""

from typing import Any

from tests.sandbox.sandbox_process import KEY, WEBHOOK_SECRET, SandboxProcess
from tests.sandbox.shapes import check_shape
from tests.sandbox.webhook_receiver import WebhookReceiver


def test_the_key_id_alone_shows_methods_and_preferences(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    for options in ({"auth": (KEY[0], "")}, {"params": {"key_id": KEY[0]}}):
        methods = sandbox.anonymous.get("/v1/methods", **options)
        check_shape("methods", methods.json())
        assert "HDFC" in methods.json()["netbanking"]
        preferences = sandbox.anonymous.get("/v1/preferences", **options).json()
        assert preferences["methods"] == methods.json()
        # The plugins read these two without looking whether they are there.
        assert preferences["options"]["redirect"] is False
        assert preferences["options"]["image"] is None
        assert preferences["mode"] == "test"
    query = {"key_id": KEY[0], "order_id": order["id"], "currency[0]": "INR", "amount": 1}
    shown = sandbox.anonymous.get("/v1/preferences", params=query)
    assert shown.json()["order"] == order
    assert shown.headers["access-control-allow-origin"] == "*"
    for path in ("/v1/methods", "/v1/preferences"):
        assert sandbox.anonymous.get(path, params={"key_id": "rzp_test_nobody"}).status_code == 401
        assert sandbox.anonymous.get(path).status_code == 401


def test_a_plugin_registers_finds_and_changes_its_webhook(
    sandbox: SandboxProcess, receiver: WebhookReceiver, client: Any
) -> None:
    # WooCommerce sends a form, Magento JSON.
    form = {
        "url": receiver.url,
        "active": "1",
        "secret": WEBHOOK_SECRET,
        "events[payment.authorized]": "1",
        "events[refund.created]": "",
        "events[subscription.charged]": "1",
    }
    response = sandbox.api.post("/v1/webhooks/", data=form)
    assert response.status_code == 200, response.text
    webhook = response.json()
    check_shape("webhook", {**webhook, "events": list(webhook["events"])})
    assert webhook["events"] == {"payment.authorized": True, "subscription.charged": True}
    assert WEBHOOK_SECRET not in response.text
    page = client.webhook.all({"count": 10, "skip": 0})
    assert page == {"entity": "collection", "count": 1, "items": [webhook]}
    sandbox.create_payment()
    assert receiver.wait_for(1)[0].event == "payment.authorized"
    changed = sandbox.call(
        "PUT",
        f"/v1/webhooks/{webhook['id']}",
        {"url": receiver.url, "events": {"order.paid": True}, "active": True, "secret": "other"},
    )
    assert changed["events"] == {"order.paid": True}
    sandbox.create_payment()
    received = receiver.wait_for(2)
    assert [row.event for row in received] == ["payment.authorized", "order.paid"]
    assert sandbox.other_api.get("/v1/webhooks").json()["count"] == 0
    assert sandbox.other_api.delete(f"/v1/webhooks/{webhook['id']}").status_code == 400
    assert sandbox.api.delete(f"/v1/webhooks/{webhook['id']}").json() == []
    assert client.webhook.all()["count"] == 0
    # Razorpay: a secret is optional.
    sandbox.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["payment.captured"]})
    sandbox.create_payment()
    assert "x-razorpay-signature" not in receiver.wait_for(3)[2].headers
    for change, field in (
        ({"url": "ftp://x"}, "url"),
        ({"events": {}}, "events"),
        ({"events": ["Order Paid"]}, "events"),
        ({"active": "perhaps"}, "active"),
    ):
        body = {"url": receiver.url, "events": {"order.paid": True}, **change}
        assert sandbox.expect_error("POST", "/v1/webhooks", body)["field"] == field


def test_magento_switches_its_webhook_off_without_naming_events(
    sandbox: SandboxProcess, receiver: WebhookReceiver, client: Any
) -> None:
    body = {"url": receiver.url, "events": {"order.paid": True}, "active": True, "secret": "s"}
    webhook = sandbox.call("POST", "/v1/webhooks", body)
    off = client.webhook.edit(webhook["id"], None, {"url": receiver.url, "active": False})
    assert (off["active"], off["events"]) == (False, {"order.paid": True})
    sandbox.create_payment()
    client.webhook.edit(webhook["id"], None, {"url": receiver.url, "active": True})
    payment = sandbox.create_payment()
    assert payment["id"] in receiver.wait_for(1)[0].body.decode()
    refusal = sandbox.expect_error("POST", "/v1/webhooks", {"url": receiver.url, "active": False})
    assert refusal["field"] == "events"


def test_woocommerces_questions_about_features_are_answered(sandbox: SandboxProcess) -> None:
    features = sandbox.call("GET", "/v1/merchant/1cc_preferences")["features"]
    assert features["one_click_checkout"] is False
    assert sandbox.call("GET", "/v1/app/merchant/api/verify/3/2") == {"enabled": False}
    assert sandbox.call("GET", f"/v1/rtb?key_id={KEY[0]}") == {"widget_enabled": False}
    event = {"event": "plugin.activated", "properties": {"a": 1}}
    assert sandbox.call("POST", "/v1/plugins/segment", event) == {"status": "success"}


def test_the_notes_of_a_plugins_refund_are_kept_as_text(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    notes = {"reason": "", "order_id": 1042, "refund_from_website": True, "source": "woocommerce"}
    refund = sandbox.call(
        "POST", f"/v1/payments/{payment['id']}/refund", {"amount": 100, "notes": notes}
    )
    assert refund["notes"]["order_id"] == "1042"
