"""A browser in the demo shop."""

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
    """A page in English. A script, a style or a frame that its policy refuses is an error."""
    page = browser.new_page(
        base_url=api_server.url, viewport=DESKTOP, locale="en-IN", reduced_motion="reduce"
    )
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    page.context.close()
    # Chromium says so of every answer that is an error, and of what a test has cut off.
    assert [each for each in errors if "Failed to load resource" not in each] == []
