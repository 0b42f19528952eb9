"""The guide as somebody reads it."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.flawless import assert_flawless, need_axe


def test_a_reader_finds_a_page_by_its_contents_and_by_a_search(page: Page, tmp_path: Path) -> None:
    need_axe()
    page.goto("/guide")
    expect(page.get_by_role("heading", level=1)).to_have_text("KernaPay")
    assert_flawless(page, tmp_path)
    page.get_by_role("link", name="Refunds and disputes").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Refunds and disputes")
    page.get_by_role("searchbox").fill("rotate the webhook secret")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Search")
    assert_flawless(page, tmp_path)
    page.get_by_role("link", name="Operations: Rotating secrets").click()
    expect(page.get_by_role("heading", name="Rotating secrets")).to_be_in_viewport()
    assert_flawless(page, tmp_path)
    # On a phone, a page begins with what was asked for, and not with the contents.
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto("/guide/search?q=wrong+signature")
    expect(page.locator("main a").first).to_be_in_viewport()
    page.get_by_role("link", name="Contents").click()
    expect(page.get_by_role("link", name="Integrate").last).to_be_in_viewport()
