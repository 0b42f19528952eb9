"""A page written for the real Checkout, in a real browser, with only its script's origin swapped."""

import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import razorpay
from playwright.sync_api import Browser, FrameLocator, Page, Route, expect, sync_playwright

from tests.sandbox.box import KEY, Box

REAL = "https://checkout.razorpay.com/v1/checkout.js"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = [path for path in CHROMIUM if os.access(path, os.X_OK)]
    if not found:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=list(QUIET))
        yield browser
        browser.close()


class ShopHandler(BaseHTTPRequestHandler):
    """Serves the shop's page and takes what Checkout posts to it."""

    def do_GET(self) -> None:
        self._answer(Path(__file__).with_name("shop.html").read_bytes())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append(parse_qs(body.decode()))  # type: ignore[attr-defined]
        self._answer(b"<h1>Thank you</h1>")

    def _answer(self, html: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(html)))
        self.end_headers()
        self.wfile.write(html)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop_server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ShopHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


class Shop:
    """The shop's page. It fails the test if anything asks for an address outside this machine."""

    def __init__(self, box: Box, server: ThreadingHTTPServer, page: Page, shots: Path) -> None:
        self.box = box
        self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        self.page = page
        self.window: FrameLocator = page.frame_locator("iframe[title=Payment]")
        self.posted: list[dict[str, list[str]]] = []
        server.posted = self.posted  # type: ignore[attr-defined]
        self.strangers: list[str] = []
        self.errors: list[str] = []
        self._shots = shots
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route("**/*", self._route)

    def _route(self, route: Route) -> None:
        request = route.request
        if request.url == REAL:
            script = self.box.stranger.get("/v1/checkout.js")
            route.fulfill(body=script.text, content_type=script.headers["content-type"])
        elif request.url.startswith((self.url, self.box.url)):
            route.continue_()
        else:
            self.strangers.append(request.url)
            route.abort()

    def open(self, **options: Any) -> dict[str, Any]:
        """Create an order and open the payment window for it."""
        order = self.box.order()
        self.page.add_init_script(
            f"window.shopOptions = {json.dumps({'order_id': order['id'], **options})}"
        )
        self.page.goto(self.url)
        self.page.get_by_role("button", name="Pay").click()
        expect(self.window.locator("#amount")).to_have_text("₹500.00")
        return order

    def by_card(self, number: str, otp: str = "1234") -> None:
        self.window.get_by_role("tab", name="Card").click()
        self.window.get_by_label("Card number").fill(number)
        self.window.get_by_label("Expiry").fill("12/39")
        self.window.get_by_label("CVV").fill("123")
        self.submit()
        self.window.get_by_label("One-time password").fill(otp)
        self.window.get_by_role("button", name="Confirm").click()

    def by_upi(self, vpa: str) -> None:
        self.window.get_by_role("tab", name="UPI").click()
        self.window.get_by_label("UPI address").fill(vpa)
        self.submit()

    def submit(self) -> None:
        self.window.get_by_role("button", name=re.compile("^Pay")).click()

    def logged(self, what: str) -> Any:
        line = self.page.locator(f"#log .{what}").first
        line.wait_for()
        return json.loads(line.inner_text())

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self._shots / f"{name}.png")


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
    page.set_default_timeout(10_000)
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


def test_the_control_page_plays_customer_and_arms_faults(
    box: Box, browser: Browser, tmp_path: Path
) -> None:
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{box.url}/")
        page.get_by_role("button", name="Create order").click()
        orders = page.locator("#orders")
        orders.get_by_role("button", name="Fail").click()
        expect(orders.locator(".pill")).to_have_text("attempted")
        orders.get_by_role("button", name="Pay", exact=True).click()
        expect(orders.locator(".pill")).to_have_text("paid")
        payments = page.locator("#payments")
        expect(payments.locator(".pill")).to_have_text(["captured", "failed"])
        page.once("dialog", lambda dialog: dialog.accept("20000"))
        payments.get_by_role("button", name="Refund").click()
        expect(page.locator("#refunds .pill")).to_have_text("processed")
        page.locator("#new-fault select").select_option("delay")
        page.get_by_label("seconds").fill("0.5")
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator("#faults td.id")).to_have_text("delay")
        assert box.look("/faults")["items"][0]["options"] == {"seconds": 0.5}
        page.get_by_role("button", name="Switch off").click()
        page.locator("#new-fault select").select_option("rate_limit")
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator("#faults td.id")).to_have_text("rate_limit")
        assert box.api.get("/v1/orders").status_code == 429
        expect(page.locator("#faults")).to_contain_text("Nothing yet.")  # it follows by itself
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        page.get_by_role("button", name="Freeze").click()
        expect(page.locator("#clock")).to_have_class("frozen")
        assert box.look("/clock")["frozen"] is True
        assert errors == []
