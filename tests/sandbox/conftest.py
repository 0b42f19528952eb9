from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.box import WEBHOOK_SECRET, Box, Receiver


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
