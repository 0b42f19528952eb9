"""A page written for the real Checkout. Only the origin of its script is replaced."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import razorpay
from playwright.sync_api import Browser, expect

from tests.sandbox.sandbox_process import KEY, SandboxProcess
from tests.sandbox.shop import CHECKOUT_URL, Shop, ShopServer


@pytest.fixture(scope="module")
def shop_server() -> Iterator[ShopServer]:
    with ShopServer().running() as server:
        yield server


@pytest.fixture(params=[(1280, 800), (375, 720)], ids=["desktop", "phone"])
def shop(
    sandbox: SandboxProcess,
    browser: Browser,
    shop_server: ShopServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Shop]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    shop = Shop(sandbox, shop_server, page, tmp_path)
    yield shop
    page.close()
    assert shop.outside_urls == []
    assert shop.errors == []


desktop = pytest.mark.parametrize("shop", [(1280, 800)], ids=["desktop"], indirect=True)


def test_success_reaches_the_handler_with_a_valid_signature(
    sandbox: SandboxProcess, shop: Shop
) -> None:
    order = shop.open()
    shop.take_screenshot("1-methods")
    shop.pay_by_card("4100 2800 0000 1007")
    response = shop.wait_for_callback("paid")
    assert set(response) == {"razorpay_payment_id", "razorpay_order_id", "razorpay_signature"}
    assert response["razorpay_order_id"] == order["id"]
    assert razorpay.Client(auth=KEY).utility.verify_payment_signature(response)
    payment = sandbox.fetch_payment(response["razorpay_payment_id"])
    assert (payment["status"], payment["email"]) == ("captured", "asha@example.com")
    assert (payment["description"], payment["notes"]) == ("Consultation fee", {"visit": "42"})
    assert shop.page.locator("iframe").count() == 0


def test_a_failure_keeps_the_window_open_and_the_same_order_is_paid(
    sandbox: SandboxProcess, shop: Shop
) -> None:
    order = shop.open()
    shop.pay_by_upi("failure@razorpay")
    error = shop.wait_for_callback("failed")
    assert (error["code"], error["reason"]) == ("BAD_REQUEST_ERROR", "payment_failed")
    assert error["metadata"]["order_id"] == order["id"]
    shop.take_screenshot("2-failed")
    shop.window.get_by_role("button", name="Try again").click()
    shop.pay_by_upi("success@razorpay")
    shop.window.get_by_text("Payment successful").wait_for()
    shop.take_screenshot("3-done")
    assert shop.wait_for_callback("paid")["razorpay_order_id"] == order["id"]
    order = sandbox.fetch_order(order["id"])
    assert (order["status"], order["attempts"]) == ("paid", 2)


def test_closing_the_window_does_not_change_the_order(sandbox: SandboxProcess, shop: Shop) -> None:
    order = shop.open()
    shop.window.get_by_role("button", name="Close").click()
    shop.wait_for_callback("dismissed")
    assert sandbox.fetch_order(order["id"]) == order
    assert shop.page.locator("#log .paid").count() == 0


@desktop
def test_a_customer_can_pay_by_keyboard_alone(shop: Shop) -> None:
    shop.open(prefill={"email": "asha@example.com", "contact": "+919000000001"})
    press = shop.page.keyboard.press
    tab = shop.window.get_by_role("tab", name="Card")
    tab.focus()
    press("ArrowRight")
    expect(shop.window.get_by_role("tab", name="UPI")).to_be_focused()
    press("Tab")
    shop.page.keyboard.type("success@razorpay")
    press("Enter")
    shop.wait_for_callback("paid")


@desktop
def test_escape_closes_unless_the_page_forbids_it(shop: Shop) -> None:
    shop.open()
    shop.window.get_by_role("tab", name="Card").focus()
    shop.page.keyboard.press("Escape")
    shop.wait_for_callback("dismissed")
    shop.open(modal={"escape": False})
    shop.window.get_by_role("tab", name="Card").focus()
    shop.page.keyboard.press("Escape")
    shop.pay_by_upi("success@razorpay")
    shop.wait_for_callback("paid")


@desktop
@pytest.mark.parametrize(
    ("number", "otp", "reason"),
    [
        ("4100 2800 0008 0001", "1234", "insufficient_fund"),
        ("4100 2800 0000 1007", "123", "incorrect_otp"),
    ],
)
def test_a_failing_card_or_a_short_one_time_password_fails(
    shop: Shop, number: str, otp: str, reason: str
) -> None:
    shop.open()
    shop.pay_by_card(number, otp)
    assert shop.wait_for_callback("failed")["reason"] == reason


@desktop
@pytest.mark.parametrize(
    ("method", "choice"), [("Netbanking", "State Bank of India"), ("Wallet", "PhonePe")]
)
def test_the_banks_page_decides_the_outcome(
    sandbox: SandboxProcess, shop: Shop, method: str, choice: str
) -> None:
    shop.open()
    shop.pay_from_list(method, choice)
    shop.window.get_by_role("button", name="Failure").click()
    shop.wait_for_callback("failed")
    shop.window.get_by_role("button", name="Try again").click()
    shop.pay_from_list(method, choice)
    shop.window.get_by_role("button", name="Success").click()
    payment = sandbox.fetch_payment(shop.wait_for_callback("paid")["razorpay_payment_id"])
    assert payment["method"] == method.lower()
    assert "SBIN" in (payment["bank"] or "SBIN")


@desktop
def test_success_is_posted_to_the_callback_url(shop: Shop) -> None:
    order = shop.open(callback_url=f"{shop.url}callback?visit=42")
    shop.pay_by_upi("success@razorpay")
    shop.page.get_by_text("Thank you").wait_for()
    (fields,) = shop.forms
    assert fields["razorpay_order_id"] == [order["id"]]
    assert set(fields) == {"razorpay_payment_id", "razorpay_order_id", "razorpay_signature"}
    assert shop.page.url == f"{shop.url}callback?visit=42"


@desktop
def test_with_redirect_a_failure_is_posted_too(shop: Shop) -> None:
    order = shop.open(callback_url=f"{shop.url}callback", redirect=True)
    shop.pay_by_upi("failure@razorpay")
    shop.page.get_by_text("Thank you").wait_for()
    (fields,) = shop.forms
    assert fields["error[code]"] == ["BAD_REQUEST_ERROR"]
    assert fields["error[reason]"] == ["payment_failed"]
    assert json.loads(fields["error[metadata]"][0])["order_id"] == order["id"]


@desktop
def test_without_retry_a_failure_closes_the_window(shop: Shop) -> None:
    shop.open(retry={"enabled": False}, modal={})
    shop.pay_by_upi("failure@razorpay")
    shop.wait_for_callback("failed")
    expect(shop.page.locator("iframe")).to_have_count(0)


@desktop
def test_closing_is_confirmed_if_the_page_asks_for_it(shop: Shop) -> None:
    shop.open(modal={"confirm_close": True})
    shop.window.get_by_role("button", name="Close").click()
    shop.window.get_by_role("button", name="Go on paying").click()
    shop.pay_by_upi("success@razorpay")
    shop.wait_for_callback("paid")


@desktop
def test_the_window_says_that_an_order_is_already_paid(sandbox: SandboxProcess, shop: Shop) -> None:
    order = sandbox.create_order()
    sandbox.pay(order)
    shop.open_order(order)
    shop.window.get_by_text("the order is already paid").wait_for()


@desktop
def test_a_script_tag_in_a_form_becomes_a_button_that_pays(
    sandbox: SandboxProcess, shop: Shop
) -> None:
    order = sandbox.create_order()
    script = f'src="{CHECKOUT_URL}" data-key="{KEY[0]}" data-order_id="{order["id"]}" data-amount="50000"'
    form = f'<form action="{shop.url}callback" method="POST"><script {script}></script></form>'
    shop.open_page(form)
    shop.page.get_by_role("button", name="Pay Now").click()
    shop.pay_by_upi("success@razorpay")
    shop.page.get_by_text("Thank you").wait_for()
    (fields,) = shop.forms
    assert fields["razorpay_order_id"] == [order["id"]]
    assert razorpay.Client(auth=KEY).utility.verify_payment_signature(
        {name: values[0] for name, values in fields.items()}
    )
