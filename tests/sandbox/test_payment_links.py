"""Payment links by the vendor's Python SDK, their page in a browser, and hosted Checkout."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import razorpay
from playwright.sync_api import Browser, expect

from tests.sandbox.sandbox_process import DAY, KEY, NEW_YEAR, SandboxProcess, wait_for
from tests.sandbox.shapes import check_shape
from tests.sandbox.shop import ShopServer
from tests.sandbox.webhook_receiver import WebhookReceiver

ASHA = {"name": "Asha Rao", "email": "asha@example.com", "contact": "9000000001"}


def test_a_link_is_sent_paid_and_told(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    link = client.payment_link.create(
        {
            "amount": 50_000,
            "description": "Consultation",
            "reference_id": "ref-1",
            "customer": ASHA,
            "notify": {"email": True, "sms": False},
            "notes": {"a": "b"},
            "callback_url": "http://shop.example/thanks?visit=1",
            "callback_method": "get",
        }
    )
    check_shape("payment_link", link)
    assert link["short_url"] == f"{sandbox.url}/l/{link['id']}"
    assert (link["status"], link["payments"]) == ("created", None)
    (mail,) = sandbox.inspect("/mailbox?to=asha@example.com")["items"]
    assert link["short_url"] in mail["text"]
    assert client.payment_link.notifyBy(link["id"], "sms") == {"success": True}
    assert sandbox.inspect("/mailbox?to=%2B919000000001")["count"] == 1
    paid = sandbox.control("/pay", payment_link_id=link["id"], method="upi")
    signed = {name.removeprefix("razorpay_"): value for name, value in paid.items()}
    signed |= {"razorpay_payment_id": signed["payment_id"]}
    signed |= {"razorpay_signature": signed["signature"]}
    assert client.utility.verify_payment_link_signature(signed)
    fetched = client.payment_link.fetch(link["id"])
    check_shape("payment_link", fetched)
    assert (fetched["status"], fetched["amount_paid"]) == ("paid", 50_000)
    assert fetched["payments"][0]["payment_id"] == paid["razorpay_payment_id"]
    payment = sandbox.fetch_payment(paid["razorpay_payment_id"])
    assert (payment["notes"], payment["order_id"]) == ({"a": "b"}, fetched["order_id"])
    assert client.order.fetch(fetched["order_id"])["receipt"] == "ref-1"
    wait_for(lambda: "payment_link.paid" in receiver.events)
    event = json.loads(next(w.body for w in receiver.webhooks if w.event == "payment_link.paid"))
    assert event["contains"] == ["payment_link", "order", "payment"]
    check_shape("link_order", event["payload"]["order"]["entity"])
    check_shape("payment_link", event["payload"]["payment_link"]["entity"])
    assert f"order_{event['payload']['order']['entity']['id']}" == fetched["order_id"]
    for change in (client.payment_link.cancel, lambda name: client.payment_link.edit(name, {})):
        with pytest.raises(razorpay.errors.BadRequestError, match=r"already paid|can only be made"):
            change(link["id"])
    assert client.payment_link.all({"reference_id": "ref-1"}) == {"payment_links": [fetched]}
    assert client.payment_link.all({"payment_id": "pay_KpSandbox00001"}) == {"payment_links": []}


def test_links_are_paid_in_parts_cancelled_and_expire(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.freeze_clock()
    parts = client.payment_link.create(
        {"amount": 50_000, "accept_partial": True, "first_min_partial_amount": 20_000}
    )
    sandbox.control("/pay", payment_link_id=parts["id"], amount=20_000)
    assert client.payment_link.fetch(parts["id"])["status"] == "partially_paid"
    cancelled = client.payment_link.create({"amount": 100})
    assert client.payment_link.cancel(cancelled["id"])["cancelled_at"] == NEW_YEAR
    late = client.payment_link.create({"amount": 100, "expire_by": NEW_YEAR + 3600})
    client.payment_link.edit(late["id"], {"expire_by": NEW_YEAR + 7200, "notes": {"k": "v"}})
    sandbox.advance_clock(3600)
    assert client.payment_link.fetch(late["id"])["status"] == "created"
    sandbox.advance_clock(3600)
    wait_for(lambda: client.payment_link.fetch(late["id"])["status"] == "expired")
    for link in (cancelled, late):
        refused = sandbox.anonymous.post("/_sandbox/pay", json={"payment_link_id": link["id"]})
        assert refused.status_code == 409
    sandbox.control("/pay", payment_link_id=parts["id"])
    assert client.payment_link.fetch(parts["id"])["amount_paid"] == 50_000
    wait_for(lambda: "payment_link.paid" in receiver.events)
    links = [event for event in receiver.events if event.startswith("payment_link.")]
    names = ("partially_paid", "cancelled", "expired", "paid")
    assert sorted(links) == sorted(f"payment_link.{name}" for name in names)
    # A link without a date ends after six months.
    look = {"checkout": {"name": "Lacme Corp", "theme": {"hide_topbar": True}}}
    forgotten = client.payment_link.create({"amount": 100, "options": look})
    sandbox.advance_clock(185 * DAY)
    wait_for(lambda: client.payment_link.fetch(forgotten["id"])["status"] == "expired")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"amount": 99}, "must be at least INR 1.00"),
        ({"currency": "XXX"}, "currency is not supported"),
        ({"expire_by": NEW_YEAR + 60}, "atleast 15 minutes in future"),
        ({"expire_by": NEW_YEAR + 200 * DAY}, "six months"),
        ({"upi_link": True}, "not supported in Test Mode"),
        ({"reference_id": "taken"}, "reference ID already attempted"),
        ({"callback_url": "http://shop.example/"}, "callback_method field is required"),
        ({"callback_url": "javascript:alert(1)", "callback_method": "get"}, "callback_url"),
        ({"options": "blue"}, "options"),
        ({"colour": "red"}, "colour is/are not required"),
    ],
)
def test_an_invalid_link_is_refused(sandbox: SandboxProcess, fields: Any, words: str) -> None:
    sandbox.freeze_clock()
    sandbox.call("POST", "/v1/payment_links", {"amount": 100, "reference_id": "taken"})
    error = sandbox.expect_error("POST", "/v1/payment_links", {"amount": 100, **fields})
    assert words in error["description"]
    assert len(sandbox.call("GET", "/v1/payment_links")["payment_links"]) == 1


def test_a_customer_pays_on_the_links_page_and_on_hosted_checkout(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    with ShopServer().running() as shop, browser.new_page() as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        link = sandbox.call(
            "POST",
            "/v1/payment_links",
            {
                "amount": 50_000,
                "description": "</script><script>alert(1)</script>",
                "callback_url": f"{shop.url}thanks?visit=1",
                "callback_method": "get",
            },
        )
        shop.html = b"<h1>Thank you</h1>"
        page.goto(link["short_url"])
        expect(page.locator("#amount")).to_have_text("₹500.00")
        expect(page.locator("#description")).to_have_text("</script><script>alert(1)</script>")
        window = page.frame_locator("iframe[title=Payment]")

        def pay() -> None:
            window.get_by_role("tab", name="UPI").click()
            window.get_by_label("UPI address").fill("success@razorpay")
            window.get_by_role("button", name="Pay ₹").click()
            page.get_by_role("heading", name="Thank you").wait_for()

        page.get_by_role("button", name="Pay").click()
        pay()
        query = dict(parse_qsl(urlsplit(page.url).query))
        assert (query.pop("visit"), query["razorpay_payment_link_status"]) == ("1", "paid")
        assert len(query["razorpay_signature"]) == 64
        page.goto(link["short_url"])
        expect(page.locator("#state")).to_have_text("This link is paid. Thank you.")
        expect(page.get_by_role("button", name="Pay")).to_be_hidden()
        page.set_viewport_size({"width": 360, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.set_viewport_size({"width": 1280, "height": 720})
        # Hosted Checkout: the shop's form posts its options.
        order = sandbox.create_order()
        fields = {
            "key_id": KEY[0],
            "order_id": order["id"],
            "name": "Tea shop",
            "prefill[contact]": "9000000001",
            "prefill[email]": "asha@example.com",
            "notes[visit]": "42",
            "callback_url": f"{shop.url}paid",
            "cancel_url": f"{shop.url}cancelled",
        }
        inputs = "".join(f"<input name='{name}' value='{text}'>" for name, text in fields.items())
        form = f"<form method=post action='{sandbox.url}/v1/checkout/embedded'>{inputs}<button>Go"
        shop.html = form.encode()
        page.goto(shop.url)
        page.get_by_role("button", name="Go").click()
        pay()
        (posted,) = shop.forms
        assert posted["razorpay_order_id"] == [order["id"]]
        assert sandbox.fetch_order(order["id"])["status"] == "paid"
        payment = sandbox.fetch_payment(posted["razorpay_payment_id"][0])
        assert (payment["contact"], payment["notes"]) == ("+919000000001", {"visit": "42"})
        assert errors == []
    for change in ({"callback_url": "javascript:alert(1)"}, {"key_id": "rzp_test_nobody"}):
        answer = sandbox.anonymous.post("/v1/checkout/embedded", data={**fields, **change})
        assert answer.status_code in {400, 401}
    assert sandbox.anonymous.get("/l/plink_KpSandbox00001").status_code == 400
