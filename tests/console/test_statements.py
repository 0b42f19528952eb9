"""Statements in the console: a provider's own, and any for an administrator."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.actors import Actor, People, request_refund
from tests.console.pages import HOSTILE, OpenPage, sign_in
from tests.flawless import assert_flawless
from tests.stack import Sandbox
from tests.threads import aside


def choose_this_month(page: Page) -> None:
    page.get_by_label("Month").select_option(index=0)
    expect(page.get_by_role("region", name="Days, in INR")).to_be_visible()


def test_an_administrator_reads_and_fetches_the_statement_of_a_provider(
    open_page: OpenPage,
    people: People,
    admin: Actor,
    user: Actor,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    provider = aside(people.new)("PROVIDER", approved=True, name=HOSTILE[:100])
    payment, _ = user.buy(sandbox, amount=150_000, providerId=provider.id)
    assert request_refund(admin, payment, 20_000).status_code == 201
    page = open_page("/console/statements")
    sign_in(page, admin)
    expect(page.get_by_text("Choose a provider.")).to_be_visible()
    page.get_by_label("Provider").select_option(provider.id)
    choose_this_month(page)
    figures = page.get_by_role("main")
    expect(figures).to_contain_text("₹1,500.00 1 payment")
    expect(figures).to_contain_text("\N{MINUS SIGN}₹200.00 1 refund")
    assert_flawless(page, tmp_path)
    for form in ("PDF", "CSV with each line"):
        with page.expect_download() as download:
            page.get_by_role("button", name=form).click()
        assert download.value.suggested_filename.startswith("statement-20")
        assert Path(download.value.path()).stat().st_size > 200


def test_a_provider_reads_their_own_and_needs_no_choice(
    open_page: OpenPage, people: People, user: Actor, sandbox: Sandbox
) -> None:
    provider = aside(people.new)("PROVIDER", approved=True)
    user.buy(sandbox, amount=50_000, providerId=provider.id)
    page = open_page("/console/statements")
    sign_in(page, provider)
    choose_this_month(page)
    expect(page.get_by_label("Provider")).to_have_count(0)
    expect(page.get_by_role("main")).to_contain_text("₹500.00 1 payment")
