"""A shop's page, written for the real Checkout, in a real browser."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from playwright.sync_api import FrameLocator, Page, Route, expect

from tests.sandbox.sandbox_process import SandboxProcess
from tests.secrecy import learn_word

CHECKOUT_URL = "https://checkout.razorpay.com/v1/checkout.js"


class ShopServer(ThreadingHTTPServer):
    """Serve the shop's page and record the forms posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ShopHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        self.html = b""
        self.forms: list[dict[str, list[str]]] = []

    @contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield self
        self.shutdown()
        self.server_close()


class ShopHandler(BaseHTTPRequestHandler):
    server: ShopServer

    def do_GET(self) -> None:
        self._respond(self.server.html)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.forms.append(parse_qs(body.decode()))
        self._respond(b"<h1>Thank you</h1>")

    def _respond(self, html: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(html)))
        self.end_headers()
        self.wfile.write(html)

    def log_message(self, *_: object) -> None:
        pass


class Shop:
    """The shop's page and the payment window in it.

    `outside_urls` collects requests to other servers, which are blocked.
    """

    def __init__(
        self, sandbox: SandboxProcess, server: ShopServer, page: Page, screenshots: Path
    ) -> None:
        self.sandbox = sandbox
        self.url = server.url
        self.page = page
        self.window: FrameLocator = page.frame_locator("iframe[title=Payment]")
        self.forms = server.forms
        self.forms.clear()
        server.html = Path(__file__).with_name("shop.html").read_bytes()
        self._server = server
        self.outside_urls: list[str] = []
        self.errors: list[str] = []
        self._screenshots = screenshots
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route("**/*", self._route)

    def _route(self, route: Route) -> None:
        request = route.request
        if request.url == CHECKOUT_URL:
            script = self.sandbox.anonymous.get("/v1/checkout.js")
            route.fulfill(body=script.text, content_type=script.headers["content-type"])
        elif request.url.startswith((self.url, self.sandbox.url)):
            route.continue_()
        else:
            self.outside_urls.append(request.url)
            route.abort()

    def open(self, **options: Any) -> dict[str, Any]:
        """Create an order and open the payment window for it."""
        order = self.sandbox.create_order()
        self.open_order(order, **options)
        expect(self.window.locator("#amount")).to_have_text("₹500.00")
        return order

    def open_order(self, order: dict[str, Any], **options: Any) -> None:
        shop_options = json.dumps({"order_id": order["id"], **options})
        self.page.add_init_script(f"window.shopOptions = {shop_options}")
        self.page.goto(self.url)
        self.page.get_by_role("button", name="Pay").click()

    def open_page(self, html: str) -> None:
        """Open another page instead of the shop's."""
        self._server.html = f"<!doctype html><body>{html}".encode()
        self.page.goto(self.url)

    def pay_by_card(self, number: str, otp: str = "1234") -> None:
        learn_word(number)
        self.window.get_by_role("tab", name="Card").click()
        self.window.get_by_label("Card number").fill(number)
        self.window.get_by_label("Expiry").fill("12/39")
        self.window.get_by_label("CVV").fill("123")
        self.submit()
        self.window.get_by_label("One-time password").fill(otp)
        self.window.get_by_role("button", name="Confirm").click()

    def pay_by_upi(self, vpa: str) -> None:
        self.window.get_by_role("tab", name="UPI").click()
        self.window.get_by_label("UPI address").fill(vpa)
        self.submit()

    def pay_from_list(self, method: str, choice: str) -> None:
        self.window.get_by_role("tab", name=method).click()
        self.window.get_by_role("radio", name=choice).click()
        self.submit()

    def submit(self) -> None:
        self.window.get_by_role("button", name=re.compile("^Pay")).click()

    def wait_for_callback(self, name: str) -> Any:
        """Return the argument with which Checkout called the page: `paid`, `failed` or `dismissed`."""
        line = self.page.locator(f"#log .{name}").first
        line.wait_for()
        return json.loads(line.inner_text())

    def take_screenshot(self, name: str) -> None:
        self.page.screenshot(path=self._screenshots / f"{name}.png")
