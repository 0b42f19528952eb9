"""Exports in the console: asked for, made by a worker, fetched."""

from pathlib import Path

from playwright.sync_api import expect

from tests.actors import Actor
from tests.console.pages import OpenPage, sign_in
from tests.flawless import assert_flawless
from tests.stack import Sandbox, StartWorker


def test_an_export_is_asked_for_once_followed_while_it_is_made_and_fetched(
    open_page: OpenPage,
    admin: Actor,
    user: Actor,
    sandbox: Sandbox,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    user.buy(sandbox, amount=123_400)
    page = open_page("/console/exports")
    sign_in(page, admin)
    asked: list[str] = []
    page.on(
        "request",
        lambda each: asked.append(each.method) if each.url.endswith("/exports") else None,
    )
    form = page.get_by_role("form", name="A new export")
    listed = page.get_by_role("region", name="Recent exports").get_by_role("row")
    form.get_by_role("button", name="Today").click()
    expect(form.get_by_role("button", name="Today")).to_have_attribute("aria-pressed", "true")
    # Credit notes have one time that can count, CSV alone has the mark of Excel.
    form.get_by_role("combobox", name="Lines").select_option("credit_notes")
    expect(form.get_by_role("combobox", name="that were").locator("option")).to_have_text(
        ["created"]
    )
    form.get_by_role("combobox", name="File").select_option("jsonl")
    expect(form.get_by_label("for Excel")).to_have_count(0)
    form.get_by_role("combobox", name="Lines").select_option("payments")
    form.get_by_role("combobox", name="that were").select_option("paid")
    form.get_by_role("combobox", name="File").select_option("csv")
    # Two clicks before the button is drawn anew.
    form.evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    newest = listed.nth(1)
    expect(newest).to_contain_text("Payments, paid")
    expect(newest).to_contain_text("Waits")
    start_worker()
    expect(newest).to_contain_text("Ready", timeout=30_000)
    assert_flawless(page, tmp_path)
    with page.expect_download() as download:
        newest.get_by_role("button", name="Fetch").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    assert "1234.00" in text
    assert "\nTOTAL," in text
    assert asked == ["POST"]

    # What the API refuses is said where it was asked.
    form.get_by_label("before").evaluate("field => field.removeAttribute('min')")
    form.get_by_label("before").fill("2020-01-01")
    form.get_by_role("button", name="Make the file").click()
    expect(form.get_by_role("alert")).to_contain_text("Must be after `from`.")
