"""A browser's own EventSource follows a payment, and stops when it has ended."""

import pytest
from playwright.sync_api import Page

from tests.actors import Actor
from tests.browser import launched_browser
from tests.checkout import ROOT
from tests.live.payments import capture, decline
from tests.stack import Api
from tests.waiting import eventually

FOLLOW = """reference => {
  window.seen = [];
  window.source = new EventSource(`/v1/api/payments/${reference}/events`);
  for (const name of ["state", "step", "end"])
    source.addEventListener(name, event => seen.push([name, event.lastEventId, JSON.parse(event.data)]));
}"""
CLOSED = 2
PAGE = (ROOT / "kernapay" / "docs" / "integrate.md").read_text()


def opened(page: Page, api: Api, script: str, reference: str) -> None:
    """Run a script on a page of the service."""
    page.goto(f"{api.url}/docs", wait_until="domcontentloaded")
    page.evaluate(script, reference)


@pytest.mark.long
def test_a_browser_sees_every_change_once_and_stops_after_the_last(
    user: Actor, api_server: Api
) -> None:
    payment = user.new_payment()
    with launched_browser() as browser:
        page: Page = browser.new_page()
        opened(page, api_server, FOLLOW, payment["referenceId"])
        eventually(lambda: len(page.evaluate("seen")) == 1)
        decline(user.client, payment)
        eventually(lambda: len(page.evaluate("seen")) == 2)
        capture(user.client, payment)
        eventually(lambda: page.evaluate("source.readyState") == CLOSED)
        seen = [
            (name, index, data.get("status", data.get("reason")))
            for name, index, data in page.evaluate("seen")
        ]
    assert seen == [
        ("state", "0", "pending"),
        ("step", "1", "failed"),
        ("step", "2", "success"),
        ("end", "2", "final"),
    ]


@pytest.mark.long
def test_the_script_of_the_readme_shows_every_state_and_stops(user: Actor, api_server: Api) -> None:
    script = PAGE.partition("## Live status\n")[2].partition("```js\n")[2].partition("```")[0]
    payment = user.new_payment()
    with launched_browser() as browser:
        page: Page = browser.new_page()
        around = "referenceId => { window.shown = []; const show = data => shown.push(data.status);"
        opened(
            page,
            api_server,
            f"{around} {script} window.source = stream; }}",
            payment["referenceId"],
        )
        eventually(lambda: page.evaluate("shown") == ["pending"])
        capture(user.client, payment)
        eventually(lambda: page.evaluate("source.readyState") == CLOSED)
        assert page.evaluate("shown") == ["pending", "success"]
