"""The overview of the console in a real browser."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from playwright.sync_api import Page, expect

from tests.actors import ADMIN, Actor, People, request_refund
from tests.aliases import Json, Store
from tests.console.pages import (
    HOSTILE,
    OpenPage,
    sign_in,
)
from tests.factories import unique
from tests.flawless import PHONE, assert_flawless, need_axe
from tests.stack import Sandbox
from tests.threads import aside


def tile(page: Page, name: str) -> str:
    return page.locator(".tile").filter(has_text=name).inner_text()


def a_week_ago(store: Store, payment: Json, **changes: Any) -> None:
    """Store a payment like another one, as if it had been created a week and an hour before."""

    def write() -> None:
        row = store.payments.find_one({"referenceId": payment["referenceId"]})
        assert row is not None
        names = ("orderId", "razorpayOrderId", "razorpayPaymentId", "idempotencyKey", "receipt")
        rest = {name: value for name, value in row.items() if name not in names}
        at = row["createdAt"] - timedelta(days=7, seconds=5)
        own = {"_id": ObjectId(), "referenceId": unique("PAY_"), "createdAt": at}
        store.payments.insert_one({**rest, **own, **changes})

    aside(write)()


def written_elsewhere(store: Store, payment: Json, kind: str) -> None:
    """Change the service type to one that only another system can have written."""
    change = {"$set": {"serviceType": kind}}
    aside(store.payments.update_one)({"referenceId": payment["referenceId"]}, change)


def test_a_provider_lands_on_what_their_money_adds_up_to(
    open_page: OpenPage,
    people: People,
    user: Actor,
    admin: Actor,
    sandbox: Sandbox,
    store: Store,
) -> None:
    provider = aside(people.new)("PROVIDER", approved=True)
    kind = HOSTILE[:40]
    payment, _ = user.buy(sandbox, providerId=provider.id, amount=150_000)
    written_elsewhere(store, payment, kind)
    user.buy(sandbox, providerId=provider.id, amount=50_000)
    user.buy(sandbox)
    assert request_refund(admin, payment, 12_000).status_code == 201
    a_week_ago(store, payment, amountPaid=100_000, amountRefunded=0)
    page = open_page("/console?days=7&by=serviceType")
    sign_in(page, provider)
    expect(page.get_by_role("heading", name="7 days")).to_be_visible()
    assert "₹2,000.00" in tile(page, "Collected")
    assert "+100.0 %" in tile(page, "Collected")
    assert "100.0 %" in tile(page, "Success rate")
    assert "₹120.00" in tile(page, "Refunded")
    expect(page.locator(".shares").get_by_text(kind)).to_be_visible()
    assert page.locator("main img").count() == 0
    # What needs an administrator is not theirs.
    expect(page.get_by_text("Needs a person")).to_have_count(0)
    page.get_by_text("As a table").click()
    expect(page.locator(".plain tbody tr")).to_have_count(7)
    expect(page.locator(".plain tbody tr").last).to_contain_text("₹2,000.00")
    # A lab assistant has no such page, and goes to the payments.
    page.get_by_role("button", name="Sign out").first.click()
    sign_in(page, aside(people.new)("LAB_ASSISTANT"))
    expect(page.get_by_role("heading", name="Payments")).to_be_visible()
    rail = page.get_by_role("navigation", name="Console").first
    expect(rail.get_by_role("link", name="Overview")).to_have_count(0)


def test_what_needs_a_person_leads_to_its_list(
    open_page: OpenPage, admin: Actor, people: People
) -> None:
    aside(people.new)("PROVIDER")
    page = open_page("/console")
    sign_in(page, admin)
    needs = page.get_by_role("region", name="Needs a person")
    waiting = admin.call("GET", f"{ADMIN}/attention").json()["providersToApprove"]
    needs.get_by_role("link", name=re.compile(rf"^{waiting} providers?")).click()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    expect(page.get_by_text("Waits for approval").first).to_be_visible()
    assert "approved=false" in page.url


def test_an_overview_that_is_left_open_shows_itself_anew_and_does_not_use_the_session(
    open_page: OpenPage, admin: Actor
) -> None:
    page = open_page("/console")
    page.clock.install()
    sign_in(page, admin)
    expect(page.locator(".tiles")).to_be_visible()
    with page.expect_request("**/insights?**") as asked:
        page.clock.fast_forward("01:01")
    assert asked.value.headers.get("x-kernapay-background") == "1"
    # What cannot be read anew stays, and the page says that it is from before.
    page.route("**/insights?**", lambda route: route.abort())
    page.clock.fast_forward("01:01")
    expect(page.get_by_text("What is shown is from before.")).to_be_visible()
    expect(page.locator(".tiles")).to_be_visible()


@pytest.mark.long
def test_the_overview_fits_and_axe_finds_nothing(
    open_page: OpenPage,
    admin: Actor,
    user: Actor,
    sandbox: Sandbox,
    store: Store,
    tmp_path: Path,
) -> None:
    need_axe()
    payment, _ = user.buy(sandbox)
    written_elsewhere(store, payment, HOSTILE[:60])
    a_week_ago(store, payment, amountPaid=100_000)
    large = {"$set": {"amount": 1_234_567_800, "amountPaid": 1_234_567_800}}
    aside(store.payments.update_one)({"referenceId": payment["referenceId"]}, large)
    page = open_page("/console")
    sign_in(page, admin)
    for path in ("", "?days=7&by=serviceType", "?days=28&by=provider"):
        page.goto(f"/console{path}")
        expect(page.locator(".tiles")).to_be_visible()
        assert_flawless(page, tmp_path)
    # Crores in one line, also on a phone.
    page.set_viewport_size(PHONE)
    page.goto("/console?days=7")
    assert re.search(r"₹\d,\d\d,\d\d,\d\d\d", tile(page, "Collected"))
    lines = page.locator(".tile b").evaluate_all(
        """found => found.map((each) => {
          const range = document.createRange();
          range.selectNodeContents(each);
          return range.getClientRects().length;
        })"""
    )
    assert set(lines) == {1}
