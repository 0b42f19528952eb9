"""Fixtures for the tests of projects that call Razorpay. pytest loads them where KernaPay is installed."""

from collections.abc import Iterator

import pytest

from kernapay.sandbox.child_process import ChildSandbox


@pytest.fixture(scope="session")
def razorpay_sandbox_process() -> Iterator[ChildSandbox]:
    """Run one sandbox for all tests of the session, on a free port. Override it to change its variables."""
    with ChildSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def razorpay_sandbox(razorpay_sandbox_process: ChildSandbox) -> ChildSandbox:
    """Return an empty sandbox: `url`, `key_id`, `key_secret`, `pay(order_id)`, `control(path, **body)`."""
    razorpay_sandbox_process.reset()
    return razorpay_sandbox_process
