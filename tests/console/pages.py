"""Pages of the console in a browser: signing in, and what every page must be."""

from collections.abc import Callable
from functools import cache

from playwright.sync_api import Page, expect

from tests.actors import Actor
from tests.factories import PASSWORD
from tests.node import installed

HOSTILE = '"><img src=x onerror=alert(1)> ‏שלום {{7*7}} ' + "W" * 120
AXE = ("axe-core", "4.14.1")
DESKTOP = {"width": 1440, "height": 900}
LAPTOP = {"width": 1280, "height": 800}
SMALL_PHONE = {"width": 375, "height": 812}
PHONE = {"width": 390, "height": 844}
OpenPage = Callable[..., Page]


def sign_in(page: Page, actor: Actor) -> None:
    page.get_by_label("E-mail address").fill(actor.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    # Who goes on before the answer has no session.
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)


@cache
def axe_source() -> str:
    return (installed(*AXE) / AXE[0] / "axe.min.js").read_text()


def complaints_of_axe(page: Page) -> list[str]:
    """Return what axe finds serious about the page as it is."""
    page.evaluate(axe_source())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("(tags) => axe.run({runOnly: tags})", tags)
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def assert_fits(page: Page) -> None:
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) == 0
