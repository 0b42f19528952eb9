"""Light or dark, by the choice of the person: from a cookie, so that a page never begins in the wrong one."""

import httpx
from playwright.sync_api import expect

from tests.actors import Actor
from tests.console.pages import OpenPage, sign_in

LIGHT, DARK = "rgb(244, 246, 250)", "rgb(15, 20, 32)"


def test_the_first_bytes_of_a_page_have_the_theme_that_was_chosen(api: httpx.Client) -> None:
    for cookie, theme in (
        ("kp_theme=dark", "dark"),
        ("kp_theme=light", "light"),
        ("", ""),
        ('kp_theme="><script>', ""),
    ):
        for path in ("/console", "/console/payments"):
            page = api.get(path, headers={"Cookie": cookie})
            assert page.text.splitlines()[1] == f'<html lang="en" class="{theme}">', cookie
            assert page.headers["Cache-Control"] == "no-store"


def test_a_choice_stays_and_the_system_decides_without_one(
    open_page: OpenPage, admin: Actor
) -> None:
    page = open_page("/console/me")
    sign_in(page, admin)
    colour = "getComputedStyle(document.body).backgroundColor"
    # `open_page` has a light system.
    expect(page.get_by_label("As the system")).to_be_checked()
    assert page.evaluate(colour) == LIGHT
    page.get_by_label("Dark", exact=True).check()
    assert page.evaluate(colour) == DARK
    page.reload()
    expect(page.get_by_label("Dark", exact=True)).to_be_checked()
    assert page.evaluate(colour) == DARK
    page.emulate_media(color_scheme="dark")
    page.get_by_label("Light", exact=True).check()
    assert page.evaluate(colour) == LIGHT
    page.get_by_label("As the system").check()
    assert page.evaluate(colour) == DARK
    assert page.context.cookies() == [] or "kp_theme" not in page.evaluate("document.cookie")
    assert page.evaluate("localStorage.length") == 0
