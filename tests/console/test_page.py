"""The console in a real browser, under its own content security policy."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from bson import ObjectId
from playwright.sync_api import Browser, Page, Route, expect

from kernapay.security.console import CONSOLE_COOKIE
from tests.actors import PAYMENTS, USERS, Actor, People
from tests.aliases import Json, Store
from tests.console.desk import totp
from tests.console.pages import (
    HOSTILE,
    OpenPage,
    let_time_pass,
    sign_in,
)
from tests.factories import PASSWORD
from tests.flawless import assert_flawless, need_axe
from tests.money.disputes import FIRST, invented, tell
from tests.stack import Api, Sandbox
from tests.threads import aside
from tests.waiting import eventually


def open_refund(page: Page, amount: str, reason: str) -> None:
    page.get_by_role("button", name="Refund…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Amount in INR").fill(amount)
    dialog.get_by_label("Reason").fill(reason)


def lose(route: Route) -> None:
    """Let the API do what it is asked, and lose the answer."""
    route.fetch()
    route.abort()


def cut_off(route: Route) -> None:
    """Let the API do what it is asked, and lose the end of the answer."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text()[:20])


def open_first_call(page: Page) -> None:
    """Open what the gateway was asked first about a payment."""
    page.get_by_role("button", name="Gateway calls").click()
    page.get_by_text("What was sent and answered").last.click()
    expect(page.get_by_text("POST orders")).to_be_visible()
    expect(page.locator(".call pre").last).to_contain_text('"status": "created"')
    page.get_by_role("button", name="Everything").click()


def end_sessions(admin: Actor) -> None:
    """End the sessions of the console, as another device does."""
    assert admin.call("DELETE", f"{USERS}/sessions?keepCurrent=true").status_code == 200


def refunds_of(actor: Actor, payment: Json) -> list[Json]:
    refunds: list[Json] = actor.seen(payment["referenceId"])["refunds"]
    return refunds


def test_support_signs_in_finds_a_payment_and_reads_its_story(
    open_page: OpenPage, admin: Actor, user: Actor, sandbox: Sandbox, tmp_path: Path
) -> None:
    for _ in range(3):
        user.new_payment()
    payment, checkout = user.buy(sandbox, description=HOSTILE[:256], notes={"cart": HOSTILE[:60]})
    page = open_page(f"/console/payments?userId={user.id}&status=success")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("E-mail address").fill(admin.email)
    page.get_by_label("Password").fill("wrong zebra battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The e-mail address or the password is wrong.")).to_be_visible()
    expect(page.get_by_label("E-mail address")).to_have_value(admin.email)
    sign_in(page, admin)
    # Back to where the link led, with its filter.
    page.wait_for_url(re.compile(r"/console/payments\?userId=.*status=success"))
    expect(page.get_by_role("heading", name="Payments")).to_be_focused()
    expect(page.get_by_text(HOSTILE[:256]).first).to_be_visible()
    page.screenshot(path=tmp_path / "payments.png")
    page.keyboard.press("/")
    page.keyboard.type(checkout["razorpay_payment_id"])
    page.keyboard.press("Enter")
    # What names one payment leads to it.
    page.wait_for_url(re.compile(payment["referenceId"]))
    story = page.get_by_role("region", name="Where the money is")
    expect(story.get_by_text("Stays with you")).to_be_visible()
    steps = page.locator(".line h3")
    expect(steps.filter(has_text="Paid")).to_have_count(1)
    expect(steps.filter(has_text="Payment created")).to_have_count(1)
    expect(page.get_by_text(HOSTILE[:60], exact=True)).to_be_visible()
    assert page.locator("img").count() == 0
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
        CONSOLE_COOKIE,
        True,
        True,
        "Strict",
    )
    assert page.evaluate("document.cookie + JSON.stringify({...localStorage})") == "{}"
    page.screenshot(path=tmp_path / "payment.png", full_page=True)
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_double_click_and_a_lost_answer_and_a_reload_are_one_refund_each(
    open_page: OpenPage, admin: Actor, user: Actor, sandbox: Sandbox, tmp_path: Path
) -> None:
    payment, _ = user.buy(sandbox)
    page = open_page(f"/console/payments/{payment['referenceId']}")
    sign_in(page, admin)
    open_refund(page, "100.00", "Late by 20 minutes")
    dialog = page.get_by_role("dialog")
    page.screenshot(path=tmp_path / "refund.png")
    dialog.get_by_role("button", name="Refund ₹100.00").dblclick()
    expect(dialog.get_by_text("₹100.00 refunded.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    assert [each["amount"] for each in refunds_of(user, payment)] == [10000]
    expect(page.locator(".line h3").filter(has_text="INR 100.00 refunded")).to_have_count(1)

    open_refund(page, "50", "Second visit cancelled")
    page.route("**/refunds", lose)
    dialog.get_by_role("button", name="Refund ₹50.00").click()
    expect(dialog.get_by_text("Asked, not yet answered.")).to_be_visible()
    assert len(refunds_of(user, payment)) == 2
    page.unroute("**/refunds")
    page.reload()
    # What was asked is still there after a reload, under the same key.
    expect(dialog.get_by_label("Reason")).to_have_value("Second visit cancelled")
    dialog.get_by_role("button", name="Ask again").click()
    expect(dialog.get_by_text("₹50.00 refunded.")).to_be_visible()
    assert sorted(each["amount"] for each in refunds_of(user, payment)) == [5000, 10000]
    assert page.evaluate("sessionStorage.length") == 0
    dialog.get_by_role("button", name="Close").click()
    # What is refused for good says why, and the next attempt has a key of its own.
    open_refund(page, "350", "All of it")
    other = {"amount": 30000, "idempotencyKey": "console-test-elsewhere"}
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    assert admin.call("POST", path, json=other).status_code == 201
    dialog.get_by_role("button", name="Refund ₹350.00").click()
    expect(dialog.get_by_role("alert").filter(has_text=re.compile("refund"))).to_be_visible()
    expect(dialog.get_by_text("Asked, not yet answered.")).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0


def test_a_session_that_ended_elsewhere_loses_nothing_that_was_typed(
    open_page: OpenPage, admin: Actor, user: Actor, sandbox: Sandbox, tmp_path: Path
) -> None:
    payment, _ = user.buy(sandbox)
    page = open_page(f"/console/payments/{payment['referenceId']}")
    sign_in(page, admin)
    open_refund(page, "120.50", "Typed before the night")
    end_sessions(admin)
    page.get_by_role("button", name="Refund ₹120.50").click()
    again = page.get_by_role("dialog", name="Sign in again")
    expect(again).to_be_visible()
    page.screenshot(path=tmp_path / "over.png")
    assert refunds_of(user, payment) == []
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in").click()
    # The call goes on as it was asked for.
    expect(page.get_by_text("₹120.50 refunded.")).to_be_visible()
    assert [each["reason"] for each in refunds_of(user, payment)] == ["Typed before the night"]


@pytest.mark.parametrize("lose_answer", [lose, cut_off])
def test_a_refund_without_an_answer_stays_one_refund_however_often_the_session_ends(
    open_page: OpenPage,
    admin: Actor,
    user: Actor,
    sandbox: Sandbox,
    lose_answer: Callable[[Route], None],
) -> None:
    payment, _ = user.buy(sandbox)
    page = open_page(f"/console/payments/{payment['referenceId']}")
    sign_in(page, admin)
    open_refund(page, "50", "Second visit cancelled")
    dialog = page.get_by_role("dialog", name="Refund")
    again = page.get_by_role("dialog", name="Sign in again")
    unanswered = dialog.get_by_text("Asked, not yet answered.")
    page.route("**/refunds", lose_answer)
    dialog.get_by_role("button", name="Refund ₹50.00").click()
    expect(unanswered).to_be_visible()
    page.unroute("**/refunds")

    def end_before(route: Route) -> None:
        end_sessions(admin)
        route.continue_()

    # It ends before the refund is asked for again, and once more right after the sign-in.
    page.route("**/refunds", end_before)
    dialog.get_by_role("button", name="Ask again").click()
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in").click()
    expect(again).to_have_count(0)
    expect(dialog.get_by_text("The session has ended.")).to_be_visible()
    expect(unanswered).to_be_visible()
    # And once more, and the person goes away from the page.
    dialog.get_by_role("button", name="Ask again").click()
    again.get_by_role("button", name="Leave").click()
    page.unroute("**/refunds")
    sign_in(page, admin)
    expect(dialog.get_by_label("Reason")).to_have_value("Second visit cancelled")
    dialog.get_by_role("button", name="Ask again").click()
    expect(dialog.get_by_text("₹50.00 refunded.")).to_be_visible()
    assert [each["amount"] for each in refunds_of(user, payment)] == [5000]
    assert page.evaluate("sessionStorage.length") == 0


def test_a_wrong_code_or_password_is_shown_as_that_and_asks_nobody_to_sign_in_again(
    open_page: OpenPage, admin: Actor, store: Store
) -> None:
    page = open_page("/console/me")
    page.emulate_media(color_scheme="dark")
    sign_in(page, admin)
    again = page.get_by_role("dialog", name="Sign in again")
    password, code = page.get_by_label("Your password"), page.get_by_label("Code", exact=True)
    password.fill("wrong zebra battery")
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_text("This is not your current password.")).to_be_visible()
    expect(again).to_have_count(0)
    password.fill(PASSWORD)
    page.get_by_role("button", name="Set up").click()
    secret = page.locator(".key code").inner_text()
    # Dark on light and with a margin, as authenticators want it, also on a dark page.
    picture = page.get_by_role("img", name="The key as a QR code")
    expect(picture).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(picture.locator("path")).to_have_css("fill", "rgb(0, 0, 0)")
    box = picture.get_attribute("viewBox")
    assert box is not None
    assert box.startswith("-4 -4 ")
    code.fill(totp(secret, datetime.now(UTC)))
    page.get_by_role("button", name="Confirm").click()
    remove = page.get_by_role("button", name="Remove")
    expect(remove).to_be_visible()
    wrong = "The code is wrong or was used before."
    password.fill(PASSWORD)
    code.fill("000000")
    remove.click()
    expect(page.get_by_text(wrong)).to_be_visible()
    expect(again).to_have_count(0)
    # The end of the session does ask, and shows in its turn what was typed wrong there.
    end_sessions(admin)
    remove.click()
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in").click()
    for typed in ("000000", totp(secret, datetime.now(UTC), 1)):
        expect(again.get_by_label("Code of your authenticator")).to_be_visible()
        again.get_by_label("Code of your authenticator").fill(typed)
        again.get_by_role("button", name="Continue").click()
        if typed == "000000":
            expect(again.get_by_text(wrong)).to_be_visible()
    expect(again).to_have_count(0)
    expect(page.get_by_text(wrong)).to_be_visible()
    # An operator took the factor away meanwhile: nobody has a code to prove anything with.
    aside(store.second_factors.delete_one)({"_id": ObjectId(admin.id)})
    let_time_pass(admin, store)
    page.get_by_role("link", name="API keys").first.click()
    page.get_by_role("button", name="Make a key…").click()
    page.get_by_label("Name").fill("Till")
    page.get_by_label("Read payments").check()
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("dialog", name="Confirm that it is you").get_by_label("Your password").fill(
        PASSWORD
    )
    page.keyboard.press("Enter")
    expect(page.get_by_text("It is shown only now.")).to_be_visible()


def test_a_page_that_is_left_open_looks_at_its_session_and_does_not_use_it(
    open_page: OpenPage, admin: Actor
) -> None:
    page = open_page("/console/payments")
    page.clock.install()
    sign_in(page, admin)
    # The list has come: that was the last use.
    expect(page.locator("section[aria-label=Payments][aria-busy=false]")).to_be_visible()

    def expect_look(act: Callable[[], object]) -> None:
        with page.expect_request("**/console/session") as asked:
            act()
        assert asked.value.headers.get("x-kernapay-background") == "1"
        assert asked.value.response() is not None

    # When the session should have ended, in the minute after that, and when somebody comes back.
    expect_look(lambda: page.clock.fast_forward("30:20"))
    expect_look(lambda: page.clock.fast_forward("01:16"))
    back = "document.dispatchEvent(new Event('visibilitychange'))"
    expect_look(lambda: page.evaluate(back))
    end_sessions(admin)
    expect_look(lambda: page.clock.fast_forward("01:16"))
    expect(page.get_by_role("dialog", name="Sign in again")).to_be_visible()


def test_a_search_never_leads_to_the_payment_that_was_shown_before_it(
    open_page: OpenPage, admin: Actor, people: People, user: Actor, sandbox: Sandbox
) -> None:
    user.buy(sandbox)
    payment, checkout = aside(people.new)("USER").buy(sandbox)
    page = open_page(f"/console/payments?userId={user.id}")
    sign_in(page, admin)
    expect(page.locator("[data-row]")).to_have_count(1)
    page.get_by_role("searchbox").fill(checkout["razorpay_payment_id"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/payments/PAY_*")
    assert page.url.endswith(payment["referenceId"])


def test_money_that_the_bank_has_taken_back_does_not_stay_with_the_business(
    open_page: OpenPage, admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    payment, checkout = user.buy(sandbox)
    dispute = invented(checkout["razorpay_payment_id"], amount=30000)
    tell(user.client, "created", dispute)
    lost = {**dispute, "status": "lost", "amount_deducted": 30000}
    tell(user.client, "lost", lost, at=FIRST + 60)
    page = open_page(f"/console/payments/{payment['referenceId']}")
    sign_in(page, admin)
    money = page.get_by_role("region", name="Where the money is")
    expect(money).to_contain_text("Taken back by the bank₹300.00")
    # The gateway keeps its fee.
    fee = admin.call("GET", f"{PAYMENTS}/{payment['referenceId']}/story").json()["payment"]["fee"]
    expect(money).to_contain_text(f"Stays with you₹{(20000 - (fee or 0)) / 100:.2f}")


def test_each_role_sees_what_it_may_do(
    open_page: OpenPage, people: People, user: Actor, sandbox: Sandbox
) -> None:
    provider = aside(people.new)("PROVIDER", approved=True)
    assistant = aside(people.new)("LAB_ASSISTANT")
    payment, _ = user.buy(sandbox, providerId=provider.id)
    page = open_page("/console")
    sign_in(page, assistant)
    page.get_by_role("searchbox").fill(payment["referenceId"])
    page.keyboard.press("Enter")
    expect(page.locator(".line h3").filter(has_text="Paid")).to_have_count(1)
    expect(page.get_by_role("button", name="Receipt")).to_be_visible()
    expect(page.get_by_role("button", name="Refund…")).to_have_count(0)
    page.keyboard.press("c")
    expect(page.get_by_text("The gateway says the same.")).to_be_visible()
    page.get_by_role("button", name="Sign out").first.click()
    sign_in(page, provider)
    # Another address, asked for before the answer, would cut the signing in off.
    expect(page.get_by_role("button", name="Sign out").first).to_be_visible()
    page.goto("/console/payments")
    page.locator("[data-row]").first.click()
    expect(page.get_by_role("button", name="Refund…")).to_be_visible()
    expect(page.get_by_role("region", name="Where the money is")).to_have_count(0)
    page.goto("/console/payments/PAY_nobody")
    expect(page.get_by_role("alert")).to_be_visible()


@pytest.mark.long
def test_every_page_fits_and_axe_finds_nothing(
    open_page: OpenPage,
    admin: Actor,
    user: Actor,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    need_axe()
    payment, _ = user.buy(sandbox, description=HOSTILE[:256])
    calls = f"{PAYMENTS}/{payment['referenceId']}/gateway-calls"
    eventually(lambda: admin.call("GET", calls).json())
    page = open_page("/console")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert_flawless(page, tmp_path)
    sign_in(page, admin)
    expect(page.locator(".tiles").first).to_be_visible()
    for path, ready in (
        ("/console/payments", "[data-row]"),
        (f"/console/payments/{payment['referenceId']}", ".line h3"),
        ("/console/me", ".devices li"),
        ("/console/payments?q=nothing-has-this", ".nothing"),
        ("/console/nowhere", "h1"),
    ):
        page.goto(path)
        expect(page.locator(ready).first).to_be_visible()
        if ready == ".line h3":
            open_first_call(page)
        assert_flawless(page, tmp_path)
    page.goto(f"/console/payments/{payment['referenceId']}")
    page.get_by_role("button", name="Refund…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_flawless(page, tmp_path)


def test_without_javascript_a_sentence_says_so(browser: Browser, api_server: Api) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{api_server.url}/console/payments")
    expect(page.get_by_text("The console needs JavaScript.")).to_be_visible()
    page.context.close()


def test_the_page_is_never_kept_and_its_files_for_good(api: httpx.Client) -> None:
    page = api.get("/console/payments/PAY_anything")
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    (script,) = re.findall(r'<script type="module" src="([^"]+)"></script>', page.text)
    answer = api.get(script)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    old = api.get(re.sub("assets/[0-9a-f]+", "assets/0000", script))
    assert "immutable" not in old.headers["cache-control"]
    assert api.get("/console/assets/0000/VENDOR.json").status_code == 404
