"""The sandbox's page, as a person uses it."""

import shlex
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from kernapay.sandbox.money import CURRENCIES, format_amount
from kernapay.sandbox.scenarios import SCENARIOS
from tests.sandbox.sandbox_process import KEY, WEBHOOK_SECRET, SandboxProcess

# WCAG AA for text of ordinary size.
LEAST_CONTRAST = 4.5
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return channels(colour)[3] === 255 || !node.parentElement ? colour : background(node.parentElement);
  };
  const own = (node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
  return [...document.querySelectorAll("body *")].filter((n) => own(n) && n.checkVisibility() && !n.disabled)
    .map((node) => {
      const pair = [luminance(getComputedStyle(node).color), luminance(background(node))];
      const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
      return [ratio, node.tagName, node.className, node.textContent.slice(0, 30)];
    });
}"""


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


def test_the_page_finds_turns_pages_and_keeps_its_place(
    sandbox: SandboxProcess, browser: Browser, tmp_path: Path
) -> None:
    orders = [sandbox.create_order(receipt=f"r-{number}") for number in range(25)]
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{sandbox.url}/")
        section = page.locator("#orders")
        expect(section.locator("h2 small")).to_have_text("1\N{EN DASH}20 of 25")
        section.get_by_role("button", name="Older").click()
        expect(section.locator("tbody tr")).to_have_count(5)
        expect(section.locator("tbody tr").last).to_contain_text("r-0")
        section.get_by_role("button", name="Newer").click()
        # A focused button stays focused, and its element the same, when rows come and change.
        button = (
            section.get_by_role("row").filter(has_text="r-24").get_by_role("button", name="Fail")
        )
        button.focus()
        page.evaluate("window.focused = document.activeElement")
        sandbox.create_order(receipt="newest")
        expect(section.locator("tbody tr").first).to_contain_text("newest")
        assert page.evaluate("window.focused === document.activeElement")
        sandbox.pay(orders[24])
        expect(section.get_by_role("row").filter(has_text="r-24")).to_contain_text("paid")
        assert page.evaluate("document.activeElement.textContent") == "Only this"
        page.get_by_label("Search").fill("r-24")
        expect(section.locator("tbody tr")).to_have_count(1)
        section.get_by_role("button", name="Only this").click()
        expect(page.locator("#payments tbody tr")).to_have_count(1)
        expect(page.locator("#requests tbody tr").first).to_contain_text("POST /v1/orders")
        check_calls(sandbox, page)
        play_scenarios(sandbox, page)
        page.emulate_media(color_scheme="light")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate(CONTRASTS)
            assert len(found) > 100
            assert [row for row in found if row[0] < LEAST_CONTRAST] == []
        check_money(page)
        assert errors == []


def check_calls(sandbox: SandboxProcess, page: Page) -> None:
    """Look at a call with its bodies, and copy it for a shell."""
    body = {"amount": 100, "currency": "INR", "receipt": "it's"}
    sandbox.call("POST", "/v1/orders?x=", body, headers={"x-refund-idempotency": "key-of-1042"})
    hook = {"url": "http://127.0.0.1:1/", "secret": WEBHOOK_SECRET, "events": {"order.paid": True}}
    sandbox.call("POST", "/v1/webhooks", hook)
    page.get_by_label("Search").fill("it's")
    call = page.locator("#requests tbody tr")
    expect(call).to_have_count(1)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    call.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#notice")).to_contain_text("Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    assert f'-u "{KEY[0]}:$RAZORPAY_KEY_SECRET"' in command
    assert "'X-Refund-Idempotency: key-of-1042'" in command
    assert r"""--data-binary '{"amount":100,"currency":"INR","receipt":"it'\''s"}'""" in command
    call.get_by_role("button", name="POST /v1/orders").click()
    expect(page.locator("dialog pre")).to_contain_text('"receipt": "it\'s"')
    page.get_by_role("button", name="Close").click()
    hostile = {"method": "A`B", "key_id": "$(reboot)", "path": "/v1/'$(x)", "query": ""}
    quoted = page.evaluate(
        """async (call) => (await import("/_sandbox/assets/sections.js")).toCurl(call, "'; x")""",
        hostile,
    )
    # A shell runs nothing of what a client sent.
    parts = ["-X", "A`B", "-u", "KEY_ID:$RAZORPAY_KEY_SECRET", f"{sandbox.url}/v1/'$(x)"]
    assert shlex.split(quoted) == ["curl", *parts, "--data-binary", "'; x"]
    assert quoted.partition('"')[2].partition('"')[0] == "KEY_ID:$RAZORPAY_KEY_SECRET"
    calls = sandbox.inspect("/requests")["items"]
    assert WEBHOOK_SECRET not in str([sandbox.inspect(f"/requests/{c['id']}") for c in calls])


def play_scenarios(sandbox: SandboxProcess, page: Page) -> None:
    for name, made in (("dispute_lost", "#disputes"), ("upi_outage", "#downtimes")):
        page.locator("#play select").select_option(name)
        page.get_by_role("button", name="Play").click()
        expect(page.locator(f"{made} tbody tr")).to_have_count(1)
    # The page then shows what the scenario made, and nothing else.
    expect(page.locator("#payments .pill")).to_have_text("failed")
    page.get_by_label("Search").fill("")
    expect(page.locator("#disputes .pill")).to_have_text("lost")


def check_money(page: Page) -> None:
    """Every currency has the vendor's decimals, not those that the browser knows."""
    shown = page.evaluate(
        """async (codes) => {
          const { money } = await import("/_sandbox/assets/sections.js");
          const { decimals } = await (await fetch("/_sandbox/overview")).json();
          return codes.map((code) => money(1234560, code, decimals));
        }""",
        sorted(CURRENCIES),
    )
    for code, text in zip(sorted(CURRENCIES), shown, strict=True):
        number = format_amount(1_234_560, code).split()[-1].lstrip("₹")
        assert text.replace(",", "").endswith(number.replace(",", "")), (code, text)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_makes_what_it_says(sandbox: SandboxProcess, name: str) -> None:
    played = sandbox.control(f"/scenarios/{name}")
    kinds = {row_id.partition("_")[0] for row_id in played["ids"]}
    payment_id = next(row_id for row_id in played["ids"] if row_id.startswith("pay_"))
    payment = sandbox.fetch_payment(payment_id)
    assert kinds >= {"order", "pay"}
    assert (payment["amount"], payment["status"], payment["fee"]) == {
        "customer_fee": (51_180, "captured", 1_180),
        "offer": (45_000, "captured", 1_180),
        "dashboard_refund": (50_000, "captured", 1_180),
        "refund_fails": (50_000, "refunded", 1_180),
        "upi_outage": (50_000, "failed", None),
    }.get(name, (50_000, "captured", 1_180))
    if name == "paid_twice":
        assert sandbox.fetch_payment(played["ids"][-1])["status"] == "refunded"
    assert sandbox.inspect("/faults")["count"] == 0, "no fault stays armed"


def test_a_search_finds_what_belongs_together(sandbox: SandboxProcess) -> None:
    sandbox.control("/webhooks", url="http://127.0.0.1:1/", secret=WEBHOOK_SECRET)
    order = sandbox.create_order(receipt="r-1", notes={"visit": "forty-two"})
    sandbox.pay(order, outcome="failure")
    payment_id = sandbox.pay(order, email="asha@example.com")["razorpay_payment_id"]
    refund = sandbox.call("POST", f"/v1/payments/{payment_id}/refund", {"amount": 100})
    dispute = sandbox.control("/disputes", payment_id=payment_id, amount=100)
    sandbox.create_payment()
    for words in (order["id"], payment_id, refund["id"], dispute["id"], "r-1"):
        found = sandbox.inspect(f"/overview?q={words}")
        assert [row["id"] for row in found["orders"]] == [order["id"]], words
        assert [row["status"] for row in found["payments"]] == ["captured", "failed"]
        assert [row["id"] for row in found["refunds"]] == [refund["id"]]
        assert [row["id"] for row in found["disputes"]] == [dispute["id"]]
        assert found["totals"]["deliveries"] == len(found["deliveries"]) == 7
    assert sandbox.inspect("/overview?q=Forty-two")["totals"]["orders"] == 1
    assert sandbox.inspect("/overview?q=asha@example.com")["totals"]["payments"] == 1
    assert sandbox.inspect("/overview?q=nothing-like-it")["totals"]["orders"] == 0
    assert sandbox.inspect("/overview")["totals"]["orders"] == 2
    assert sandbox.inspect("/overview?orders_skip=1")["orders"] == [found["orders"][0]]
