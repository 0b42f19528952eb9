"""The sandbox's page, as a person uses it."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.sandbox.sandbox_process import SandboxProcess


def test_the_page_simulates_a_customer_and_arms_faults(
    sandbox: SandboxProcess, browser: Browser, tmp_path: Path
) -> None:
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{sandbox.url}/")
        page.get_by_role("button", name="Create order").click()
        orders = page.locator("#orders")
        orders.get_by_role("button", name="Fail").click()
        expect(orders.locator(".pill")).to_have_text("attempted")
        orders.get_by_role("button", name="Pay", exact=True).click()
        expect(orders.locator(".pill")).to_have_text("paid")
        payments = page.locator("#payments")
        expect(payments.locator(".pill")).to_have_text(["captured", "failed"])
        page.once("dialog", lambda dialog: dialog.accept("20000"))
        payments.get_by_role("button", name="Refund").click()
        expect(page.locator("#refunds .pill")).to_have_text("processed")
        page.locator("#new-adjustment [name=credit]").fill("1012")
        page.get_by_role("button", name="Add row").click()
        page.get_by_role("button", name="Settle now").click()
        expect(page.locator("#settlements .pill")).to_have_text("processed")
        (settlement,) = sandbox.call("GET", "/v1/settlements")["items"]
        assert settlement["amount"] == 50_000 - 1_180 - 20_000 + 1_012
        page.locator("#new-fault select").select_option("delay")
        page.get_by_label("seconds").fill("0.5")
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator("#faults td.id")).to_have_text("delay")
        assert sandbox.inspect("/faults")["items"][0]["options"] == {"seconds": 0.5}
        page.get_by_role("button", name="Switch off").click()
        page.locator("#new-fault select").select_option("rate_limit")
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator("#faults td.id")).to_have_text("rate_limit")
        assert sandbox.api.get("/v1/orders").status_code == 429
        expect(page.locator("#faults")).to_contain_text("Nothing yet.")  # the page refreshes itself
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        page.get_by_role("button", name="Freeze").click()
        expect(page.locator("#clock")).to_have_class("frozen")
        assert sandbox.inspect("/clock")["frozen"] is True
        assert errors == []
