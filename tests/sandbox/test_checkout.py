"""A page written for the real Checkout, in a real browser, with only its script's origin swapped."""

import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import razorpay
from playwright.sync_api import Browser, expect

from tests.sandbox.box import KEY, Box
from tests.sandbox.shop import REAL, Shop, ShopHandler


@pytest.fixture(scope="module")
def shop_server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ShopHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(params=[(1280, 800), (375, 720)], ids=["desktop", "phone"])
def shop(
    box: Box,
    browser: Browser,
    shop_server: ThreadingHTTPServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Shop]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(20_000)
    shop = Shop(box, shop_server, page, tmp_path)
    yield shop
    page.close()
    assert shop.strangers == []
    assert shop.errors == []


desktop = pytest.mark.parametrize("shop", [(1280, 800)], ids=["desktop"], indirect=True)


def test_success_reaches_the_handler_with_a_true_signature(box: Box, shop: Shop) -> None:
    order = shop.open()
    shop.shot("1-methods")
    shop.by_card("4100 2800 0000 1007")
    paid = shop.logged("paid")
    assert set(paid) == {"razorpay_payment_id", "razorpay_order_id", "razorpay_signature"}
    assert paid["razorpay_order_id"] == order["id"]
    assert razorpay.Client(auth=KEY).utility.verify_payment_signature(paid)
    payment = box.payment(paid["razorpay_payment_id"])
    assert (payment["status"], payment["email"]) == ("captured", "asha@example.com")
    assert (payment["description"], payment["notes"]) == ("Consultation fee", {"visit": "42"})
    assert shop.page.locator("iframe").count() == 0


def test_a_failure_keeps_the_window_open_and_the_same_order_is_paid(box: Box, shop: Shop) -> None:
    order = shop.open()
    shop.by_upi("failure@razorpay")
    error = shop.logged("failed")
    assert (error["code"], error["reason"]) == ("BAD_REQUEST_ERROR", "payment_failed")
    assert error["metadata"]["order_id"] == order["id"]
    shop.shot("2-failed")
    shop.window.get_by_role("button", name="Try again").click()
    shop.by_upi("success@razorpay")
    shop.window.get_by_text("Payment successful").wait_for()
    shop.shot("3-done")
    assert shop.logged("paid")["razorpay_order_id"] == order["id"]
    order = box.ok("GET", f"/v1/orders/{order['id']}")
    assert (order["status"], order["attempts"]) == ("paid", 2)


def test_closing_the_window_dismisses_and_leaves_the_order_alone(box: Box, shop: Shop) -> None:
    order = shop.open()
    shop.window.get_by_role("button", name="Close").click()
    shop.logged("dismissed")
    assert box.ok("GET", f"/v1/orders/{order['id']}") == order
    assert shop.page.locator("#log .paid").count() == 0


@desktop
def test_the_whole_way_can_be_gone_by_keyboard(shop: Shop) -> None:
    shop.open(prefill={"email": "asha@example.com", "contact": "+919000000001"})
    press = shop.page.keyboard.press
    tab = shop.window.get_by_role("tab", name="Card")
    tab.focus()
    press("ArrowRight")
    expect(shop.window.get_by_role("tab", name="UPI")).to_be_focused()
    press("Tab")
    shop.page.keyboard.type("success@razorpay")
    press("Enter")
    shop.logged("paid")


@desktop
def test_escape_closes_unless_the_page_forbids_it(shop: Shop) -> None:
    shop.open()
    shop.window.get_by_role("tab", name="Card").focus()
    shop.page.keyboard.press("Escape")
    shop.logged("dismissed")
    shop.open(modal={"escape": False})
    shop.window.get_by_role("tab", name="Card").focus()
    shop.page.keyboard.press("Escape")
    shop.by_upi("success@razorpay")
    shop.logged("paid")


@desktop
@pytest.mark.parametrize(
    ("number", "otp", "reason"),
    [
        ("4100 2800 0008 0001", "1234", "insufficient_fund"),
        ("4100 2800 0000 1007", "123", "incorrect_otp"),
    ],
)
def test_a_bad_card_or_a_short_code_fails(shop: Shop, number: str, otp: str, reason: str) -> None:
    shop.open()
    shop.by_card(number, otp)
    assert shop.logged("failed")["reason"] == reason


@desktop
@pytest.mark.parametrize(
    ("method", "choice"), [("Netbanking", "State Bank of India"), ("Wallet", "PhonePe")]
)
def test_the_banks_page_asks_how_it_ends(box: Box, shop: Shop, method: str, choice: str) -> None:
    shop.open()
    shop.window.get_by_role("tab", name=method).click()
    shop.window.get_by_role("radio", name=choice).click()
    shop.submit()
    shop.window.get_by_role("button", name="Failure").click()
    shop.logged("failed")
    shop.window.get_by_role("button", name="Try again").click()
    shop.window.get_by_role("tab", name=method).click()
    shop.window.get_by_role("radio", name=choice).click()
    shop.submit()
    shop.window.get_by_role("button", name="Success").click()
    payment = box.payment(shop.logged("paid")["razorpay_payment_id"])
    assert payment["method"] == method.lower()
    assert "SBIN" in (payment["bank"] or "SBIN")


@desktop
def test_a_callback_url_gets_success_as_a_form_post(shop: Shop) -> None:
    order = shop.open(callback_url=f"{shop.url}callback?visit=42")
    shop.by_upi("success@razorpay")
    shop.page.get_by_text("Thank you").wait_for()
    (fields,) = shop.posted
    assert fields["razorpay_order_id"] == [order["id"]]
    assert set(fields) == {"razorpay_payment_id", "razorpay_order_id", "razorpay_signature"}
    assert shop.page.url == f"{shop.url}callback?visit=42"


@desktop
def test_redirect_posts_a_failure_too(shop: Shop) -> None:
    order = shop.open(callback_url=f"{shop.url}callback", redirect=True)
    shop.by_upi("failure@razorpay")
    shop.page.get_by_text("Thank you").wait_for()
    (fields,) = shop.posted
    assert fields["error[code]"] == ["BAD_REQUEST_ERROR"]
    assert fields["error[reason]"] == ["payment_failed"]
    assert json.loads(fields["error[metadata]"][0])["order_id"] == order["id"]


@desktop
def test_without_retry_a_failure_ends_the_visit(shop: Shop) -> None:
    shop.open(retry={"enabled": False}, modal={})
    shop.by_upi("failure@razorpay")
    shop.logged("failed")
    expect(shop.page.locator("iframe")).to_have_count(0)


@desktop
def test_leaving_is_confirmed_if_the_page_wants_it(shop: Shop) -> None:
    shop.open(modal={"confirm_close": True})
    shop.window.get_by_role("button", name="Close").click()
    shop.window.get_by_role("button", name="Go on paying").click()
    shop.by_upi("success@razorpay")
    shop.logged("paid")


@desktop
def test_an_order_that_is_paid_says_so(box: Box, shop: Shop) -> None:
    order = box.order()
    box.pay(order)
    shop.page.add_init_script(f"window.shopOptions = {json.dumps({'order_id': order['id']})}")
    shop.page.goto(shop.url)
    shop.page.get_by_role("button", name="Pay").click()
    shop.window.get_by_text("the order is already paid").wait_for()


@desktop
def test_a_script_tag_in_a_form_becomes_a_button_that_pays(box: Box, shop: Shop) -> None:
    order = box.order()
    script = f'src="{REAL}" data-key="{KEY[0]}" data-order_id="{order["id"]}" data-amount="50000"'
    form = f'<form action="{shop.url}callback" method="POST"><script {script}></script></form>'
    shop.show(form)
    shop.page.get_by_role("button", name="Pay Now").click()
    shop.by_upi("success@razorpay")
    shop.page.get_by_text("Thank you").wait_for()
    (fields,) = shop.posted
    assert fields["razorpay_order_id"] == [order["id"]]
    assert razorpay.Client(auth=KEY).utility.verify_payment_signature(
        {name: values[0] for name, values in fields.items()}
    )
