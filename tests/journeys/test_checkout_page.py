"""The checkout page in a real browser, under its own content security policy."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.actors import PAYMENTS, Actor, People
from tests.administration.machines import Machine, make
from tests.aliases import Json
from tests.browser import launched_browser
from tests.checkout_window import checkout_window, pay_by_upi
from tests.factories import payment_body
from tests.sandbox.shop import ShopServer
from tests.stack import Api
from tests.threads import aside


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as browser:
        yield browser


@pytest.fixture
def admin(people: People) -> Actor:
    """An administrator. The browser's driver has an event loop in this thread, and people are written to MongoDB."""
    return aside(people.new)("ADMIN")


@pytest.fixture
def shop_server() -> Iterator[ShopServer]:
    with ShopServer().running() as server:
        server.html = b"<h1>Back in the shop</h1>"
        yield server


@pytest.fixture(params=[(1280, 800), (375, 720)], ids=["desktop", "phone"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # A script, a style or a frame that the policy refuses is an error there.
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    page.close()
    # What a test has cut off is an error too.
    assert [error for error in errors if "net::ERR_FAILED" not in error] == []


LOOK = "**/v1/api/checkout/*"
desktop = pytest.mark.parametrize("page", [(1280, 800)], ids=["desktop"], indirect=True)


def _sell(admin: Actor, user: Actor, shop: ShopServer, description: str = "Consultation") -> Json:
    origin = shop.url.rstrip("/")
    key = make(admin, userId=user.id, scopes=["payments:write"], checkoutOrigins=[origin])
    body = payment_body(
        checkout=True,
        description=description,
        successUrl=f"{origin}/thanks?cart=4",
        cancelUrl=f"{origin}/cart",
    )
    answer = Machine(admin.client, key).call("POST", f"{PAYMENTS}/create", json=body)
    assert answer.status_code == 201, answer.text
    payment: Json = answer.json()["data"]
    return payment


def _open(page: Page, api: Api, payment: Json) -> None:
    page.goto(f"{api.url}/checkout/{payment['checkoutUrl'].rpartition('/')[2]}")


def test_a_payer_pays_and_is_led_back_to_the_shop(
    page: Page, api_server: Api, admin: Actor, user: Actor, shop_server: ShopServer, tmp_path: Path
) -> None:
    payment = _sell(admin, user, shop_server)
    _open(page, api_server, payment)
    expect(page.get_by_text("Test mode: no money moves")).to_be_visible()
    page.screenshot(path=tmp_path / "open.png")
    page.get_by_role("button", name="Pay ₹500.00").click()
    # What the API has confirmed needs no other look, which may fail.
    page.route(LOOK, lambda route: route.abort())
    pay_by_upi(page, "success@razorpay")
    page.wait_for_url(re.compile("/thanks"))
    assert f"cart=4&referenceId={payment['referenceId']}" in page.url
    page.unroute(LOOK)
    _open(page, api_server, payment)
    expect(page.get_by_text("Paid. Thank you.")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.screenshot(path=tmp_path / "paid.png")


@desktop
def test_who_closed_the_window_may_go_on_until_the_sale_has_ended(
    page: Page,
    api_server: Api,
    admin: Actor,
    user: Actor,
    shop_server: ShopServer,
) -> None:
    hostile = '<svg/onload=alert(1)>"><script>'
    payment = _sell(admin, user, shop_server, hostile)
    _open(page, api_server, payment)
    expect(page.get_by_text(hostile)).to_be_visible()
    page.get_by_role("button", name="Pay ₹500.00").click()
    page.route(LOOK, lambda route: route.abort())
    checkout_window(page).get_by_role("button", name="Close").click()
    # Unknown is not no.
    expect(page.get_by_text("It is not known yet whether you have paid.")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.unroute(LOOK)
    expect(page.get_by_text("You have not paid yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    assert user.call("POST", f"{PAYMENTS}/{payment['referenceId']}/cancel").status_code == 200
    expect(page.get_by_text("This payment has ended")).to_be_visible()
    expect(page.get_by_role("link")).to_have_attribute("href", re.compile("/cart\\?referenceId="))


def test_a_link_that_is_not_ours_says_so(browser: Browser, api_server: Api) -> None:
    page = browser.new_page()
    page.goto(f"{api_server.url}/checkout/{'A' * 38}")
    expect(page.get_by_text("This link is not valid. Ask the shop for a new one.")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.close()


@desktop
def test_the_page_speaks_the_language_of_the_payer(
    page: Page, api_server: Api, admin: Actor, user: Actor, shop_server: ShopServer
) -> None:
    payment = _sell(admin, user, shop_server)
    token = payment["checkoutUrl"].rpartition("/")[2]
    page.goto(f"{api_server.url}/checkout/{token}?lang=hi")
    expect(page.get_by_role("button", name="₹500.00 का भुगतान करें")).to_be_visible()
    expect(page.get_by_text("परीक्षण: असली पैसे नहीं लगते")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "hi"
