"""Pages of the console in a browser."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bson import ObjectId
from playwright.sync_api import Page, expect

from tests.actors import USERS, Actor
from tests.aliases import Store
from tests.factories import PASSWORD
from tests.threads import aside

HOSTILE = '"><img src=x onerror=alert(1)> ‏שלום {{7*7}} ' + "W" * 120
OpenPage = Callable[[str], Page]


def sign_in(page: Page, actor: Actor) -> None:
    page.get_by_label("E-mail address").fill(actor.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    # Who goes on before the answer has no session.
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)


def let_time_pass(admin: Actor, store: Store) -> None:
    """Let the proof of the console's session be older than it may be."""
    where = {"userId": ObjectId(admin.id), "isConsole": True}
    old = datetime.now(UTC) - timedelta(minutes=11)
    aside(store.sessions.update_many)(where, {"$set": {"provenAt": old}})
    # Nobody's session ends, and the cached ones go.
    assert admin.call("DELETE", f"{USERS}/sessions/{'0' * 22}").status_code == 404
