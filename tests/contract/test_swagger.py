"""Swagger UI in a browser: from local files, within the content policy, with a token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.actors import Actor
from tests.browser import launched_browser
from tests.stack import Api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def test_authorize_and_try_it_out_make_a_payment(
    page: Page, api_server: Api, user: Actor, tmp_path: Path
) -> None:
    urls: list[str] = []
    errors: list[str] = []

    def note_error(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("request", lambda request: urls.append(request.url))
    page.on("console", note_error)
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.goto(f"{api_server.url}/docs")
    expect(page.locator(".info .title")).to_contain_text("KernaPay")
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".modal-ux")
    dialog.locator("input").first.fill(user.token)
    dialog.get_by_role("button", name="Apply credentials").first.click()
    dialog.get_by_role("button", name="Close").first.click()

    create = page.locator("#operations-Payments-payments_create")
    create.locator(".opblock-summary-control").click()
    create.get_by_role("button", name="Try it out").click()
    create.get_by_role("button", name="Execute").click()
    answer = create.locator(".live-responses-table .response")
    expect(answer.locator(".response-col_status")).to_contain_text("201")
    expect(answer.locator(".response-col_description")).to_contain_text("order_")
    expect(page.locator(".errors-wrapper")).to_have_count(0)
    answer.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "swagger.png")

    assert urls
    assert all(url.startswith((api_server.url, "data:")) for url in urls), urls
    assert errors == []
    (payment,) = user.history().json()
    assert payment["status"] == "pending"
