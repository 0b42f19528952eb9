"""The demo shop in a real browser, against the gateway's sandbox."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from kernapay.config.loading import ConfigurationError
from kernapay.shop.controller import is_open
from tests.checkout import ROOT
from tests.checkout_window import checkout_window, pay_by_upi
from tests.environment import PRODUCTION, REQUIRED, settings_from
from tests.flawless import assert_flawless, need_axe
from tests.stack import Api, Sandbox, StartApi

SHOP = ROOT / "kernapay" / "shop" / "static"
CHECKOUT = ROOT / "kernapay" / "payments" / "checkout" / "static"
Book = Callable[[], str]


@pytest.fixture
def book(page: Page) -> Book:
    """Book the first service as a new customer; return the payment's reference."""

    def book() -> str:
        page.goto("/shop")
        page.get_by_role("button", name="Book for ₹499.00").click()
        page.get_by_role("button", name="New demo customer").click()
        expect(page.get_by_role("heading", name="Ready to pay")).to_be_visible()
        return page.url.rpartition("/")[2]

    return book


def orders_of(page: Page, sandbox: Sandbox) -> set[str]:
    """Return the orders that the customer of the page has, as the gateway's ids."""
    found = page.evaluate(
        """async () => {
          const { token, id } = JSON.parse(sessionStorage.getItem("shop.session"));
          const headers = { Authorization: `Bearer ${token}` };
          const answer = await fetch(`/v1/api/payments/history/${id}?count=50&skip=0`, { headers });
          return (await answer.json()).map((each) => each.razorpayOrderId);
        }"""
    )
    assert all(sandbox.call("GET", f"/v1/orders/{order}") for order in found)
    return set(found)


def test_a_new_customer_books_pays_once_and_finds_the_receipt(
    page: Page, book: Book, sandbox: Sandbox, tmp_path: Path
) -> None:
    need_axe()
    book()
    assert_flawless(page, tmp_path)
    page.get_by_role("button", name="Pay ₹499.00").dblclick()
    expect(page.locator("iframe")).to_have_count(1)
    pay_by_upi(page, "success@razorpay")
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert_flawless(page, tmp_path)
    with page.expect_download() as file:
        page.get_by_role("button", name="Receipt").click()
    assert Path(file.value.path()).read_bytes().startswith(b"%PDF")
    page.reload()
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    page.get_by_role("link", name="My payments").click()
    expect(page.locator(".payments li")).to_have_count(1)
    expect(page.locator(".payments .pill")).to_have_text("Paid")
    assert_flawless(page, tmp_path)
    assert len(orders_of(page, sandbox)) == 1


def test_what_checkout_says_late_takes_back_nothing_that_the_stream_has_shown(
    page: Page, book: Book, sandbox: Sandbox, api_server: Api
) -> None:
    sandbox.deliver_to(api_server.url)
    page.clock.install()
    book()
    page.get_by_role("button", name="Pay ₹499.00").click()
    checkout_window(page).get_by_role("tab", name="UPI").wait_for()
    # The window waits a moment before it tells the page; events of the stream need no timer.
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    pay_by_upi(page, "success@razorpay")
    expect(page.locator("main h1")).to_have_text("Paid", timeout=15_000)
    with page.expect_response("**/payments/verify"):
        page.clock.run_for(10_000)
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()


def test_who_was_declined_pays_the_same_order_at_the_second_try(
    page: Page, book: Book, sandbox: Sandbox
) -> None:
    book()
    page.get_by_role("button", name="Pay ₹499.00").click()
    pay_by_upi(page, "failure@razorpay")
    checkout_window(page).get_by_role("button", name="Try again").wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="The bank said no")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    pay_by_upi(page, "success@razorpay")
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    (order,) = orders_of(page, sandbox)
    assert sandbox.call("GET", f"/v1/orders/{order}")["attempts"] == 2


def test_what_is_paid_elsewhere_overtakes_the_closed_window(
    page: Page, book: Book, sandbox: Sandbox
) -> None:
    book()
    page.get_by_role("button", name="Pay ₹499.00").click()
    checkout_window(page).get_by_role("tab", name="UPI").wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="You have not paid yet")).to_be_visible()
    (order,) = orders_of(page, sandbox)
    sandbox.pay(order)
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()


def test_a_confirmation_without_an_answer_goes_on_after_a_reload(page: Page, book: Book) -> None:
    book()
    page.route("**/payments/verify", lambda route: route.abort())
    page.route("**/payments/*/events", lambda route: route.abort())
    page.route("**/payments/status/*", lambda route: route.abort())
    page.get_by_role("button", name="Pay ₹499.00").click()
    pay_by_upi(page, "success@razorpay")
    expect(page.get_by_role("heading", name="Confirming your payment")).to_be_visible()
    page.unroute_all()
    page.reload()
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()


def test_an_order_whose_answer_was_lost_is_found_again_by_the_next_click(
    page: Page, book: Book, sandbox: Sandbox
) -> None:
    book()
    page.get_by_role("link", name="Book").click()
    keys: list[str] = []

    def lose(route: object) -> None:
        keys.append(route.request.post_data_json["idempotencyKey"])  # type: ignore[attr-defined]
        route.fetch()  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route("**/payments/create", lose, times=1)
    page.get_by_role("button", name="Book for ₹1,250.00").click()
    expect(page.get_by_role("heading", name="Ready to pay")).to_be_visible()
    assert len(keys) == 1
    assert len(orders_of(page, sandbox)) == 2


def test_a_session_that_has_ended_asks_to_sign_in_and_comes_back(page: Page, book: Book) -> None:
    reference = book()
    page.evaluate(
        "sessionStorage.setItem('shop.session', JSON.stringify({ token: 'gone', id: 'x', email: '' }))"
    )
    page.reload()
    expect(page.get_by_text("Your payment is not affected")).to_be_visible()
    page.get_by_role("button", name="New demo customer").click()
    # Another customer's payment is not shown.
    expect(page.get_by_role("heading", name="This payment is not here")).to_be_visible()
    assert reference in page.url


def test_the_panel_shows_each_call_to_copy_and_no_password(page: Page, book: Book) -> None:
    book()
    expect(page.locator("#step-create")).to_contain_text("idempotencyKey")
    wire = page.locator(".wire")
    wire.get_by_role("button", name=re.compile("payments.create")).click()
    code = page.locator(".code")
    expect(code).to_contain_text("curl -X POST")
    expect(code).to_contain_text("Authorization: Bearer $TOKEN")
    expect(code).to_contain_text('"amount":49900')
    for tab, text in (("Python", "httpx.request"), ("JavaScript", "await fetch")):
        page.get_by_role("button", name=tab, exact=True).click()
        expect(code).to_contain_text(text)
    wire.get_by_role("button", name=re.compile("users.login")).click()
    expect(code).to_contain_text("/users/login")
    expect(code).to_contain_text("…")
    expect(code).not_to_contain_text("Bearer")


def test_the_shop_speaks_hindi(page: Page, tmp_path: Path) -> None:
    need_axe()
    page.goto("/shop?lang=hi")
    expect(page.get_by_role("heading", name="आप क्या बुक करना चाहेंगे?")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "hi"
    assert_flawless(page, tmp_path)


@pytest.mark.parametrize("folder", [SHOP, CHECKOUT], ids=["shop", "checkout"])
def test_each_language_has_every_word(folder: Path) -> None:
    def names(language: str) -> list[str]:
        return re.findall(r"^  (\w+):", (folder / f"{language}.js").read_text("utf-8"), re.M)

    assert names("en") == names("hi") != []


def test_the_shop_never_takes_real_money_and_production_has_to_ask_for_it(
    start_api: StartApi, api: httpx.Client
) -> None:
    test_keys = {"RAZORPAY_KEY_ID": "rzp_test_q8Zt2mVx7LcR4b"}
    live_key = settings_from({**PRODUCTION, "APP_ENV": "development"})
    assert is_open(settings_from(REQUIRED))
    assert not is_open(live_key)
    assert not is_open(settings_from({**PRODUCTION, **test_keys}))
    assert is_open(settings_from({**PRODUCTION, **test_keys, "DEMO_SHOP": "true"}))
    with pytest.raises(ConfigurationError, match="DEMO_SHOP"):
        settings_from({**PRODUCTION, "DEMO_SHOP": "true"})
    assert api.get("/shop").status_code == 200
    assert "unsafe-inline" not in _scripts(api.get("/shop").headers["content-security-policy"])
    assert start_api(DEMO_SHOP="false").client.get("/shop").status_code == 404


def _scripts(policy: str) -> str:
    (found,) = re.findall("script-src ([^;]*)", policy)
    return str(found)
