"""The shop lets its visitor choose what goes wrong, where the gateway is a sandbox."""

import re
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from kernapay.shop.troubles import Trouble, can_fail
from tests.actors import assert_problem
from tests.checkout_window import pay_by_upi
from tests.environment import PRODUCTION, REQUIRED, settings_from
from tests.flawless import assert_flawless, need_axe
from tests.stack import Sandbox

TROUBLES = "/shop/troubles"


def test_a_trouble_is_armed_alone_and_removed_and_other_faults_stay(
    api: httpx.Client, sandbox: Sandbox
) -> None:
    other = sandbox.fault("server_error", route="/v1/refunds")
    for name in Trouble:
        armed = api.post(TROUBLES, json={"name": name})
        assert (armed.status_code, armed.json()) == (200, {"armed": [name]})
        assert api.get(TROUBLES).json() == {"armed": [name]}
    assert api.delete(TROUBLES).json() == {"armed": []}
    assert api.get(TROUBLES).json() == {"armed": []}
    (left,) = sandbox.items("/_sandbox/faults")
    assert left["id"] == other["id"]
    for wrong in ({"name": "fire"}, {}, {"name": "slow", "times": 9}):
        assert_problem(api.post(TROUBLES, json=wrong), 400)


def test_only_a_sandbox_outside_production_plays_troubles() -> None:
    sandbox = {"RAZORPAY_BASE_URL": "http://127.0.0.1:3100"}
    assert can_fail(settings_from({**REQUIRED, **sandbox}))
    assert not can_fail(settings_from(REQUIRED))
    elsewhere = {"RAZORPAY_BASE_URL": "https://gateway.example"}
    test_keys = {"RAZORPAY_KEY_ID": "rzp_test_q8Zt2mVx7LcR4b"}
    assert not can_fail(settings_from({**PRODUCTION, **test_keys, **elsewhere}))
    assert not can_fail(settings_from({**PRODUCTION, "APP_ENV": "development", **elsewhere}))


def test_what_was_chosen_happens_at_the_next_payment_and_the_shop_says_what_it_means(
    page: Page, sandbox: Sandbox, tmp_path: Path
) -> None:
    need_axe()
    page.goto("/shop")
    menu = page.locator("details.trouble")
    menu.locator("summary").click()
    choice = menu.get_by_role("button", name=re.compile("Another amount is paid"))
    choice.click()
    expect(choice).to_have_attribute("aria-pressed", "true")
    expect(menu.get_by_role("status")).to_have_text("Armed. Now book and pay.")
    assert_flawless(page, tmp_path)
    page.keyboard.press("Escape")
    expect(choice).to_be_hidden()
    page.get_by_role("button", name="Book for ₹499.00").click()
    page.get_by_role("button", name="New demo customer").click()
    page.get_by_role("button", name="Pay ₹499.00").click()
    pay_by_upi(page, "success@razorpay")
    expect(page.get_by_role("heading", name="We have to look at this")).to_be_visible()
    # It has struck.
    menu.locator("summary").click()
    expect(choice).to_have_attribute("aria-pressed", "false")
