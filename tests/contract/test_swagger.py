"""Swagger UI in a browser: from local files, within the content policy, with a token."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.actors import Actor
from tests.sandbox.conftest import CHROMIUM, QUIET
from tests.stack import Api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = [path for path in CHROMIUM if os.access(path, os.X_OK)]
    if not found:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(20_000)
    yield page
    page.close()


def test_authorize_and_try_it_out_make_a_payment(
    page: Page, api_server: Api, user: Actor, tmp_path: Path
) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

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

    assert asked
    assert all(url.startswith((api_server.url, "data:")) for url in asked), asked
    assert complaints == []
    (payment,) = user.history().json()
    assert payment["status"] == "pending"
