"""The fixtures for other projects' tests, as such a test uses them."""

import tomllib
from pathlib import Path

import pytest
import razorpay
import requests

from kernapay.sandbox.child_process import ChildSandbox, SandboxCallError, SandboxStartError
from kernapay.sandbox.pytest_plugin import razorpay_sandbox as razorpay_sandbox
from kernapay.sandbox.pytest_plugin import razorpay_sandbox_process as razorpay_sandbox_process

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_a_fixture_starts_an_empty_sandbox_on_a_free_port(razorpay_sandbox: ChildSandbox) -> None:
    key = (razorpay_sandbox.key_id, razorpay_sandbox.key_secret)
    with requests.Session() as session:
        session.trust_env = False
        client = razorpay.Client(session=session, auth=key, base_url=razorpay_sandbox.url)
        order = client.order.create({"amount": 50_000, "currency": "INR"})
        response = razorpay_sandbox.pay(order["id"], method="upi")
        assert client.utility.verify_payment_signature(response)
        with pytest.raises(SandboxCallError, match="outcome 'magic' is unknown"):
            razorpay_sandbox.pay(order["id"], outcome="magic")
        razorpay_sandbox.reset()
        assert client.order.all()["count"] == 0
    with pytest.raises(SandboxStartError, match="SANDBOX_CAPTURE"):
        ChildSandbox(SANDBOX_CAPTURE="sometimes")._start()


def test_pytest_finds_the_fixtures_by_an_entry_point() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"kernapay": "kernapay.sandbox.pytest_plugin"}
