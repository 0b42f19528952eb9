"""The work lists of the console in a real browser."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.actors import ADMIN, ADMIN_USERS, API_KEYS, EVENTS, REPORTS, Actor, People, send_event
from tests.aliases import Json, Store
from tests.console.pages import (
    HOSTILE,
    OpenPage,
    sign_in,
)
from tests.factories import unique
from tests.flawless import assert_flawless, need_axe
from tests.money.disputes import invented, tell
from tests.stack import Sandbox
from tests.threads import aside

LISTS = (
    *("disputes", "settlements", "reconciliation", "mismatches", "inbox", "endpoints"),
    *("users", "customers", "keys", "audit", "health", "more"),
)


def parked(store: Store, actor: Actor) -> str:
    """Return the id of an event that was given up."""
    event_id = unique("evt_")
    answer = send_event(actor.client, unique("nothing."), event_id=event_id)
    assert answer.status_code == 200
    changes = {"status": "parked", "error": f"ValueError: {HOSTILE[:80]}", "outcome": None}
    given_up = {"$set": changes, "$unset": {"processedAt": ""}}
    aside(store.webhook_events.update_one)({"eventId": event_id}, given_up)
    return event_id


def finding(store: Store, reference: str) -> str:
    """Return the id of a report with one finding, about a payment."""
    at = datetime.now(UTC)
    times = {"createdAt": at, "updatedAt": at}
    report: Json = {
        **times,
        "from": at - timedelta(days=1),
        "to": at,
        "state": "done",
        "isComplete": True,
        "totals": {"payments": 1, "findings": 1},
    }
    report_id = aside(store.reconciliation_reports.insert_one)(report).inserted_id
    row: Json = {
        **times,
        "reportId": report_id,
        "kind": "status",
        "referenceId": reference,
        "ours": "pending",
        "theirs": HOSTILE[:90],
    }
    aside(store.reconciliation_findings.insert_one)(row)
    return str(report_id)


def settlement(store: Store) -> str:
    """Return the id of a settlement with one row, which does not add up."""
    at = datetime.now(UTC)
    times = {"createdAt": at, "updatedAt": at}
    settlement_id = unique("setl_")
    aside(store.settlements.insert_one)(
        {
            **times,
            "settlementId": settlement_id,
            "status": "processed",
            "settledAt": at,
            "amount": 48_000,
            "utr": unique("UTR"),
            "rows": 1,
            "credit": 48_820,
            "rowFee": 1180,
            "rowTax": 180,
            "difference": -820,
            "problems": ["amount_differs"],
            "hasProblem": True,
        }
    )
    return settlement_id


def no_markup(page: Page) -> None:
    assert page.locator("main img, main script").count() == 0


def test_a_parked_event_is_found_read_and_replayed_once(
    open_page: OpenPage, admin: Actor, store: Store, tmp_path: Path
) -> None:
    event_id = parked(store, admin)
    page = open_page("/console/inbox?status=parked")
    sign_in(page, admin)
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    expect(page.get_by_text(f"ValueError: {HOSTILE[:80]}").first).to_be_visible()
    no_markup(page)
    page.goto(f"/console/inbox/{event_id}")
    page.get_by_role("button", name="Replay…").click()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_role("dialog").get_by_role("button", name="Replay").dblclick()
    expect(page.get_by_role("dialog").get_by_text("The event is now not of ours")).to_be_visible()
    assert sent.count("POST") == 1
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.locator(".head .pill")).to_have_text("Not of ours")
    entry = admin.call("GET", f"{ADMIN}/audit?target=webhook:{event_id}").json()
    assert admin.call("GET", f"{EVENTS}/{event_id}").json()["event"]["status"] == "ignored"
    assert entry["total"] <= 1


def test_all_parked_events_are_replayed_and_an_answer_that_is_lost_says_so(
    open_page: OpenPage, admin: Actor, store: Store
) -> None:
    parked(store, admin)
    page = open_page("/console/inbox")
    sign_in(page, admin)
    page.get_by_role("button", name="Replay parked…").click()
    dialog = page.get_by_role("dialog")
    page.route("**/events/replay", lambda route: route.abort())
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.get_by_text("It is not known whether it was done.")).to_be_visible()
    page.unroute("**/events/replay")
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.get_by_text(re.compile(r"\d+ replayed"))).to_be_visible()
    expect(dialog.get_by_role("button", name="Replay")).to_have_count(0)


def test_a_provider_waits_is_approved_and_is_gone_from_the_list(
    open_page: OpenPage, admin: Actor, people: People
) -> None:
    name = unique("Dr. ") + HOSTILE[:40]
    provider = aside(people.new)("PROVIDER", name=name)
    page = open_page("/console/users?approved=false")
    sign_in(page, admin)
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    no_markup(page)
    page.get_by_role("button", name="Approve…").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(page.get_by_role("dialog").get_by_text("Approved.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Revoke approval…")).to_be_visible()
    account = admin.call("GET", f"{ADMIN_USERS}/{provider.id}").json()
    assert account["isApprovedProvider"] is True
    # Back in the list, which keeps its filter, by keys alone.
    page.go_back()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    expect(page.get_by_role("link", name=name)).to_have_count(0)
    page.goto(f"/console/audit?target=user:{provider.id}")
    page.get_by_text("What changed").first.click()
    expect(page.get_by_text("isApprovedProvider").first).to_be_visible()


def test_a_repair_says_what_it_would_do_before_it_does_it(
    open_page: OpenPage, admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment = user.new_payment()
    report = finding(store, payment["referenceId"])
    sandbox.pay(payment["orderId"])
    page = open_page(f"/console/reconciliation/{report}")
    sign_in(page, admin)
    expect(page.get_by_text(HOSTILE[:90]).first).to_be_visible()
    no_markup(page)
    page.get_by_role("button", name="Repair…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="See what it would do").dblclick()
    expect(dialog.get_by_text("A repair would do this:")).to_be_visible()
    assert user.seen(payment["referenceId"])["status"] == "pending"
    dialog.get_by_role("button", name="Repair").dblclick()
    expect(dialog.get_by_text("Repaired:")).to_be_visible()
    assert user.seen(payment["referenceId"])["status"] == "success"
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Repair…")).to_have_count(0)


def test_some_days_are_compared_when_a_person_asks_for_it_and_not_without_an_end(
    open_page: OpenPage, admin: Actor
) -> None:
    page = open_page("/console/reconciliation")
    sign_in(page, admin)
    page.get_by_role("button", name="Compare days…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("From the beginning of").fill("2020-01-03")
    dialog.get_by_label("until the beginning of").fill("2020-01-03")
    dialog.get_by_role("button", name="Compare").click()
    expect(dialog.get_by_text("Must be after `from`, by at most 31 days.")).to_be_visible()
    dialog.get_by_label("until the beginning of").fill("2020-01-04")
    dialog.get_by_role("button", name="Compare").dblclick()
    expect(dialog.get_by_text("Asked for.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    # Days are those of the business: here, of India.
    newest = admin.call("GET", REPORTS).json()[0]
    assert (newest["from"], newest["to"]) == ("2020-01-02T18:30:00Z", "2020-01-03T18:30:00Z")
    expect(page.get_by_role("link", name="asked for").first).to_be_visible()


def test_disputes_say_how_long_evidence_is_taken_and_lead_to_the_payment(
    open_page: OpenPage, people: People, user: Actor, sandbox: Sandbox
) -> None:
    provider = aside(people.new)("PROVIDER", approved=True)
    payment, checkout = user.buy(sandbox, providerId=provider.id)
    soon = int((datetime.now(UTC) + timedelta(hours=30)).timestamp())
    reason = HOSTILE[:90]
    dispute = invented(
        checkout["razorpay_payment_id"], amount=100, respond_by=soon, reason_description=reason
    )
    tell(user.client, "created", dispute)
    page = open_page("/console/disputes")
    sign_in(page, provider)
    row = page.locator("tbody tr").filter(has_text=dispute["id"])
    expect(row.get_by_text("29 h left")).to_have_class("bad")
    expect(row.get_by_text(reason)).to_be_visible()
    no_markup(page)
    # What is not theirs is neither offered nor shown.
    rail = page.get_by_role("navigation", name="Console").first
    expect(rail.get_by_role("link", name="Payments")).to_be_visible()
    expect(rail.get_by_role("link", name="Inbox")).to_have_count(0)
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(payment["referenceId"]))
    page.goto("/console/inbox")
    expect(page.get_by_role("heading", name="Nothing is here")).to_be_visible()


def test_an_endpoint_is_tested_switched_off_and_on_again(open_page: OpenPage, admin: Actor) -> None:
    endpoint = admin.new_endpoint(description=HOSTILE[:60])
    page = open_page(f"/console/endpoints/{endpoint['_id']}")
    sign_in(page, admin)
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Send a test…").click()
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_text("The test is on its way.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    page.locator("[data-row]").first.click()
    expect(page.get_by_role("heading", name="endpoint.test")).to_be_visible()
    page.go_back()
    for word, state in (("Switch off", "Off"), ("Switch on", "On")):
        page.get_by_role("button", name=f"{word}…").click()
        dialog.get_by_role("button", name=word).click()
        dialog.get_by_role("button", name="Close").click()
        expect(page.locator(".head .pill")).to_have_text(state)


def test_a_key_is_revoked_from_its_list(open_page: OpenPage, admin: Actor) -> None:
    name = unique("Back end ")
    body = {"name": name, "role": "USER"}
    made = admin.call("POST", API_KEYS, json=body).json()
    page = open_page("/console/keys")
    sign_in(page, admin)
    row = page.locator("tbody tr").filter(has_text=name)
    row.get_by_role("button", name="Revoke…").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("The key is revoked.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(row.get_by_text("Revoked")).to_be_visible()
    assert (
        admin.client.get(
            f"{ADMIN}/api-keys", headers={"Authorization": f"Bearer {made['key']}"}
        ).status_code
        == 401
    )


def test_a_list_has_pages_and_says_when_nothing_fits(
    open_page: OpenPage, admin: Actor, user: Actor
) -> None:
    endpoint = admin.new_endpoint()
    for _ in range(51):
        admin.new_delivery(endpoint)
    page = open_page(f"/console/endpoints/{endpoint['_id']}")
    sign_in(page, admin)
    expect(page.locator("[data-row]")).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("[data-row]")).to_have_count(1)
    page.get_by_role("link", name="First page").click()
    expect(page.locator("[data-row]")).to_have_count(50)
    page.goto("/console/users?search=nobody-has-this-name")
    page.get_by_role("main").get_by_role("link", name="Clear").last.click()
    expect(page.locator("[data-row]").first).to_be_visible()
    # What the API refuses is said in the place of the rows.
    page.goto("/console/settlements?from=yesterday!!")
    expect(page.get_by_role("alert").get_by_text("from", exact=True)).to_be_visible()


@pytest.mark.long
def test_every_list_fits_and_axe_finds_nothing(
    open_page: OpenPage,
    admin: Actor,
    user: Actor,
    people: People,
    sandbox: Sandbox,
    store: Store,
    tmp_path: Path,
) -> None:
    need_axe()
    payment, checkout = user.buy(sandbox, description=HOSTILE[:256])
    dispute = invented(checkout["razorpay_payment_id"], amount=100, reason_description=HOSTILE)
    tell(user.client, "created", dispute)
    user.new_customer(admin)
    other = {**sandbox.payment(checkout["razorpay_payment_id"]), "currency": "USD"}
    send_event(user.client, "payment.captured", payment={**other, "id": unique("pay_")[:18]})
    endpoint = admin.new_endpoint(description=HOSTILE[:100])
    provider = aside(people.new)("PROVIDER", name=HOSTILE[:100])
    details = (
        f"inbox/{parked(store, admin)}",
        f"reconciliation/{finding(store, payment['referenceId'])}",
        f"settlements/{settlement(store)}",
        f"endpoints/{endpoint['_id']}",
        f"deliveries/{admin.new_delivery(endpoint)}",
        f"users/{provider.id}",
        "settlements/setl_nobody",
    )
    page = open_page("/console/more")
    sign_in(page, admin)
    for path in (*LISTS, *details):
        page.goto(f"/console/{path}")
        expect(page.locator("h1").first).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        if path == "mismatches":
            expect(page.locator("[data-row]").first).to_be_visible()
        no_markup(page)
        assert_flawless(page, tmp_path)
    page.goto(f"/console/users/{provider.id}")
    page.get_by_role("button", name="Approve…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_flawless(page, tmp_path)
