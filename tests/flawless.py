"""What every page must be in a browser, whatever its size and theme."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Page, ViewportSize

from tests.node import installed

AXE = ("axe-core", "4.14.1")
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 375, "height": 812}
_LOOKS: tuple[tuple[ViewportSize, Literal["dark", "light"]], ...] = (
    (PHONE, "dark"),
    (DESKTOP, "light"),
)
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@cache
def _axe_source() -> str:
    return (installed(*AXE) / AXE[0] / "axe.min.js").read_text()


def need_axe() -> None:
    """Skip the test where axe cannot be had, before it has done anything."""
    _axe_source()


def complaints_of_axe(page: Page) -> list[str]:
    """Return what axe finds serious about the page as it is."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe_source())
    found = page.evaluate("(tags) => axe.run({runOnly: tags})", _TAGS)
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def assert_fits(page: Page) -> None:
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) == 0


def assert_flawless(page: Page, pictures: Path) -> None:
    """Fail when the page is wider than its window or axe finds something serious, light and wide or dark and narrow.

    With `PICTURES=true`, what a person should look at is left in `pictures`.
    """
    name = re.sub(r"\W+", "-", urlsplit(page.url).path).strip("-")
    for size, theme in _LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=theme)
        if os.environ.get("PICTURES") == "true":
            page.screenshot(path=pictures / f"{name}-{theme}.png")
        assert_fits(page)
        assert complaints_of_axe(page) == [], (page.url, theme)
