"""The window of the sandbox's Checkout, over a page that opened it."""

import re

from playwright.sync_api import FrameLocator, Page


def checkout_window(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title=Payment]")


def pay_by_upi(page: Page, vpa: str) -> None:
    window = checkout_window(page)
    window.get_by_role("tab", name="UPI").click()
    window.get_by_label("UPI address").fill(vpa)
    window.get_by_role("button", name=re.compile("^Pay")).click()
