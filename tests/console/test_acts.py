"""What people make in the console, and the proof of who they are that it asks for, in a real browser."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.actors import ADMIN, ADMIN_USERS, API_KEYS, ENDPOINTS, Actor
from tests.aliases import Json, Store
from tests.console.pages import HOSTILE, OpenPage, let_time_pass, sign_in
from tests.factories import PASSWORD, new_email, unique
from tests.flawless import assert_flawless, need_axe
from tests.stack import Sandbox, bearer


def twice(button: Locator) -> None:
    """Click twice before anything else happens: a slower second click may fall on what has come meanwhile."""
    button.evaluate("(button) => { button.click(); button.click(); }")


def posts_of(page: Page) -> list[str]:
    """Return the list of what the page sends from now on, by its path and answer."""
    sent: list[str] = []
    page.on(
        "response",
        lambda answer: (
            sent.append(f"{answer.url.rpartition('/')[2]} {answer.status}")
            if answer.request.method != "GET"
            else None
        ),
    )
    return sent


def entries_of(admin: Actor, action: str) -> list[Json]:
    found = admin.call("GET", f"{ADMIN}/audit?actor={admin.id}&action={action}").json()
    return list(found["entries"])


def test_a_key_is_made_once_after_a_proof_and_shown_only_then(
    open_page: OpenPage, admin: Actor, store: Store, tmp_path: Path
) -> None:
    need_axe()
    name = unique("Back end ") + HOSTILE[:30]
    page = open_page("/console/keys")
    sign_in(page, admin)
    page.get_by_role("button", name="Make a key…").click()
    form = page.get_by_role("dialog", name="Make a key")
    form.get_by_role("button", name="Make the key").click()
    # What is wrong stands beside the field, which has the focus.
    expect(form.get_by_label("Name")).to_be_focused()
    expect(form.get_by_role("alert")).to_have_text("Must have at least 1 character.")
    assert_flawless(page, tmp_path)
    form.get_by_label("Name").fill(name)
    form.get_by_label("Read payments").check()
    let_time_pass(admin, store)
    sent = posts_of(page)
    proof = page.get_by_role("dialog", name="Confirm that it is you")
    form.get_by_role("button", name="Make the key").click()
    proof.get_by_role("button", name="Cancel").click()
    expect(form.get_by_text("Nothing was done.")).to_be_visible()
    twice(form.get_by_role("button", name="Make the key"))
    proof.get_by_label("Your password").fill("wrong zebra battery")
    page.keyboard.press("Enter")
    expect(proof.get_by_text("This is not your current password.")).to_be_visible()
    assert_flawless(page, tmp_path)
    expect(proof.get_by_label("Your password")).to_be_focused()
    proof.get_by_label("Your password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(form.get_by_text("It is shown only now.")).to_be_visible()
    assert sent == ["api-keys 403"] * 2 + ["proof 400", "proof 200", "api-keys 201"]
    key = form.locator(".key code").inner_text()
    answer = admin.client.get("/v1/api/payments", headers=bearer(key))
    assert answer.status_code == 200, answer.text
    # It does not close by mistake: browsers close dialogs at the third Escape.
    for _ in range(4):
        page.keyboard.press("Escape")
    expect(form.get_by_role("button", name="Copy the key")).to_be_focused()
    assert_flawless(page, tmp_path)
    form.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("button", name="Make a key…")).to_be_focused()
    row = page.locator("tbody tr").filter(has_text=name)
    expect(row.get_by_text("Works")).to_be_visible()
    expect(page.get_by_text(key)).to_have_count(0)
    assert len(entries_of(admin, "api_key.create")) == 1


def test_a_large_refund_is_made_once_after_a_proof(
    open_page: OpenPage, admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox, amount=3_000_000)
    page = open_page(f"/console/payments/{payment['referenceId']}")
    sign_in(page, admin)
    page.get_by_role("button", name="Refund…").click()
    let_time_pass(admin, store)
    dialog = page.get_by_role("dialog", name="Refund")
    proof = page.get_by_role("dialog", name="Confirm that it is you")
    # Up to the limit, nobody is asked.
    dialog.get_by_label("Amount in INR").fill("10000")
    dialog.get_by_label("Reason").fill("Half of the kit")
    dialog.get_by_role("button", name="Refund ₹10,000.00").click()
    expect(dialog.get_by_text("₹10,000.00 refunded.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Refund…").click()
    dialog.get_by_label("Amount in INR").fill("20000")
    dialog.get_by_label("Reason").fill("The rest of it")
    sent = posts_of(page)
    twice(dialog.get_by_role("button", name="Refund ₹20,000.00"))
    proof.get_by_role("button", name="Cancel").click()
    expect(dialog.get_by_text("Nothing was done.")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    dialog.get_by_role("button", name="Refund ₹20,000.00").click()
    proof.get_by_label("Your password").fill(PASSWORD)
    twice(proof.get_by_role("button", name="Continue"))
    expect(dialog.get_by_text("₹20,000.00 refunded.")).to_be_visible()
    assert sent == ["refunds 403"] * 2 + ["proof 200", "refunds 201"]
    refunds = user.seen(payment["referenceId"])["refunds"]
    assert sorted(each["amount"] for each in refunds) == [1_000_000, 2_000_000]


def test_an_endpoint_is_added_changed_given_a_new_secret_and_removed(
    open_page: OpenPage, admin: Actor, tmp_path: Path
) -> None:
    need_axe()
    page = open_page("/console/endpoints")
    sign_in(page, admin)
    page.get_by_role("button", name="Add an endpoint…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("URL").fill("http://shop.example/hook")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_label("URL")).to_have_attribute("aria-invalid", "true")
    assert_flawless(page, tmp_path)
    dialog.get_by_label("URL").fill("https://8.8.8.8/hook")
    dialog.get_by_label("What it is for").fill(HOSTILE[:60])
    dialog.get_by_label("payment.succeeded").check()
    dialog.get_by_label("Headers").fill("X-Shop-Key: counter: 7\n\nX-Till: 2")
    twice(dialog.get_by_role("button", name="Add"))
    expect(dialog.locator(".key code")).to_have_text(re.compile("^whsec_"))
    dialog.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("heading", name="https://8.8.8.8/hook")).to_be_visible()
    path = f"{ENDPOINTS}/{page.url.rpartition('/')[2]}"

    def stored() -> Json:
        found: Json = admin.call("GET", path).json()["endpoint"]
        return found

    assert stored()["headers"] == {"X-Shop-Key": "counter: 7", "X-Till": "2"}
    assert (stored()["types"], stored()["description"]) == (["payment.succeeded"], HOSTILE[:60])
    # What another person changes meanwhile stays.
    page.get_by_role("button", name="Change…").click()
    assert admin.call("PUT", path, json={"description": "Stock"}).status_code == 200
    dialog.get_by_label("refund.processed").check()
    dialog.get_by_label("Providers").fill("lab-1, lab-2")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_role("button", name="Close").click()
    assert stored()["types"] == ["payment.succeeded", "refund.processed"]
    assert (stored()["providers"], stored()["description"]) == (["lab-1", "lab-2"], "Stock")
    page.get_by_role("button", name="New secret…").click()
    dialog.get_by_label("The present secret signs as well").select_option("For an hour")
    dialog.get_by_role("button", name="Make a new secret").click()
    dialog.get_by_role("button", name="I have kept it").click()
    assert len(stored()["signingKeys"]) == 2
    assert_flawless(page, tmp_path)
    page.get_by_role("button", name="End earlier secrets…").click()
    dialog.get_by_role("button", name="End earlier secrets").click()
    dialog.get_by_role("button", name="Close").click()
    assert len(stored()["signingKeys"]) == 1
    page.get_by_role("button", name="Remove…").click()
    dialog.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("heading", name="Endpoints")).to_be_visible()
    assert admin.call("GET", path).status_code == 404


def test_an_account_is_opened_gets_a_role_and_a_key_and_is_erased(
    open_page: OpenPage, admin: Actor, tmp_path: Path
) -> None:
    need_axe()
    email = new_email()
    page = open_page("/console/users")
    sign_in(page, admin)
    page.get_by_role("button", name="Open an account…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(HOSTILE[:40])
    dialog.get_by_label("E-mail address").fill(admin.email)
    dialog.get_by_label("Mobile number").fill("98765 43210")
    dialog.get_by_label("Role").select_option("PROVIDER")
    dialog.get_by_role("button", name="Open it").click()
    expect(dialog.get_by_text("already exists")).to_be_visible()
    assert_flawless(page, tmp_path)
    dialog.get_by_label("E-mail address").fill(email)
    twice(dialog.get_by_role("button", name="Open it"))
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("heading", name=HOSTILE[:40])).to_be_visible()
    path = f"{ADMIN_USERS}/{page.url.rpartition('/')[2]}"
    account = admin.call("GET", path).json()
    assert (account["email"], account["type"]) == (email, "PROVIDER")
    page.get_by_role("button", name="Change role…").click()
    dialog.get_by_label("Role").select_option("USER")
    dialog.get_by_role("button", name="Give this role").click()
    expect(dialog.get_by_text("The role is now: User.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".sub")).to_have_text("User")
    page.get_by_role("button", name="Make a key…").click()
    dialog.get_by_label("Name").fill("Shop")
    dialog.get_by_label("It may do").select_option("All that its role may")
    dialog.get_by_role("button", name="Make the key").click()
    dialog.get_by_role("button", name="I have kept it").click()
    (made,) = [
        k for k in admin.call("GET", API_KEYS).json()["keys"] if k["userId"] == account["_id"]
    ]
    assert (made["role"], made["scopes"]) == ("USER", None)
    for word, button in (("Deactivate", "Deactivate"), ("Erase", "Erase for good")):
        page.get_by_role("button", name=f"{word}…").click()
        dialog.get_by_role("button", name=button).click()
        dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("heading", name=HOSTILE[:40])).to_have_count(0)
    assert admin.call("GET", path).json()["email"] != email
