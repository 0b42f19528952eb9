import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.sandbox.box import WEBHOOK_SECRET, Box, Receiver

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    # Retries quick enough to watch, a deadline short enough to wait for.
    speed = {"SANDBOX_WEBHOOK_BACKOFF": "0.2", "SANDBOX_WEBHOOK_TIMEOUT": "1"}
    box = Box(tmp_path_factory.mktemp("sandbox"), **speed)
    try:
        yield box.start()
    finally:
        box.close()


@pytest.fixture
def box(_process: Box) -> Box:
    """A sandbox in memory, fresh for each test."""
    _process.control("/reset")
    return _process


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


@pytest.fixture
def webhook(box: Box, receiver: Receiver) -> dict[str, Any]:
    """The receiver, registered for every event."""
    return dict(box.control("/webhooks", url=receiver.url, secret=WEBHOOK_SECRET))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = [path for path in CHROMIUM if os.access(path, os.X_OK)]
    if not found:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=list(QUIET))
        yield browser
        browser.close()
