"""A shop's page that knows only the real Checkout, in a real browser."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from playwright.sync_api import FrameLocator, Page, Route, expect

from tests.sandbox.box import Box
from tests.secrecy import learn_word

REAL = "https://checkout.razorpay.com/v1/checkout.js"


class ShopHandler(BaseHTTPRequestHandler):
    """Serves the shop's page and takes what Checkout posts to it."""

    def do_GET(self) -> None:
        self._answer(self.server.html)  # type: ignore[attr-defined]

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


class Shop:
    """The shop's page. It fails the test if anything asks for an address outside this machine."""

    def __init__(self, box: Box, server: ThreadingHTTPServer, page: Page, shots: Path) -> None:
        self.box = box
        self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        self.page = page
        self.window: FrameLocator = page.frame_locator("iframe[title=Payment]")
        self.posted: list[dict[str, list[str]]] = []
        server.posted = self.posted  # type: ignore[attr-defined]
        server.html = Path(__file__).with_name("shop.html").read_bytes()  # type: ignore[attr-defined]
        self._server = server
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

    def show(self, html: str) -> None:
        """Put another page in the shop's place."""
        self._server.html = f"<!doctype html><body>{html}".encode()  # type: ignore[attr-defined]
        self.page.goto(self.url)

    def by_card(self, number: str, otp: str = "1234") -> None:
        learn_word(number)
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
