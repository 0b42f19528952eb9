from collections.abc import Iterator
from typing import Any

import pytest
import razorpay
import requests
from playwright.sync_api import Browser

from tests.browser import launched_browser
from tests.sandbox.sandbox_process import KEY, WEBHOOK_SECRET, SandboxProcess
from tests.sandbox.webhook_receiver import WebhookReceiver


@pytest.fixture(scope="module")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    # Short enough for a test to wait for retries and timeouts.
    timing = {"SANDBOX_WEBHOOK_BACKOFF": "0.2", "SANDBOX_WEBHOOK_TIMEOUT": "1"}
    sandbox = SandboxProcess(tmp_path_factory.mktemp("sandbox"), is_preloaded=True, **timing)
    try:
        yield sandbox.start()
    finally:
        sandbox.close()


@pytest.fixture
def sandbox(_process: SandboxProcess) -> SandboxProcess:
    """A sandbox without rows. The process is shared by the module."""
    _process.control("/reset")
    return _process


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    try:
        yield receiver
    finally:
        receiver.close()


@pytest.fixture
def webhook(sandbox: SandboxProcess, receiver: WebhookReceiver) -> dict[str, Any]:
    """Register the receiver for every event."""
    return dict(sandbox.control("/webhooks", url=receiver.url, secret=WEBHOOK_SECRET))


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[Any]:
    """The vendor's Python SDK. Only its base address is changed."""
    with requests.Session() as session:
        session.trust_env = False
        yield razorpay.Client(session=session, auth=KEY, base_url=sandbox.url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as browser:
        yield browser
