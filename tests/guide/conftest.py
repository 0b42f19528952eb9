"""A browser in the guide."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import launched_browser
from tests.flawless import DESKTOP
from tests.stack import Api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, api_server: Api) -> Iterator[Page]:
    """A page that fails its test when its policy refuses anything."""
    page = browser.new_page(base_url=api_server.url, viewport=DESKTOP)
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    page.context.close()
    assert errors == []
