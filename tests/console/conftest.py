"""A browser at the console."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.actors import Actor, People
from tests.browser import launched_browser
from tests.console.pages import OpenPage
from tests.flawless import DESKTOP
from tests.stack import Api
from tests.threads import aside

NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, api_server: Api) -> Iterator[OpenPage]:
    """Open the console: `open_page("/console")`. No page may break its policy, or fail by itself."""
    pages: list[Page] = []
    errors: list[str] = []

    def opened(path: str) -> Page:
        page = browser.new_page(
            base_url=api_server.url,
            viewport=DESKTOP,
            color_scheme="light",
            reduced_motion="reduce",
        )
        page.set_default_timeout(60_000)
        page.add_init_script(NOTE_VIOLATIONS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: _note_foreign(request.url, api_server.url, errors))
        page.goto(path)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        assert page.evaluate("window.violations") == []
        page.context.close()
    # Chromium says so of every answer that is an error, and of what a test has cut off.
    assert [each for each in errors if "Failed to load resource" not in each] == []


def _note_foreign(url: str, own: str, errors: list[str]) -> None:
    if not url.startswith((own, "blob:")):
        errors.append(f"asked elsewhere: {url}")


@pytest.fixture
def admin(people: People) -> Actor:
    """An administrator. The browser's driver has an event loop in this thread, and people are written to MongoDB."""
    return aside(people.new)("ADMIN")
