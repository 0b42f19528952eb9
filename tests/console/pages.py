"""Pages of the console in a browser."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.actors import Actor
from tests.factories import PASSWORD

HOSTILE = '"><img src=x onerror=alert(1)> ‏שלום {{7*7}} ' + "W" * 120
OpenPage = Callable[[str], Page]


def sign_in(page: Page, actor: Actor) -> None:
    page.get_by_label("E-mail address").fill(actor.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    # Who goes on before the answer has no session.
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)
