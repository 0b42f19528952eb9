"""The vendor's Node SDK, from the npm registry, makes its calls. Only its base address is changed."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import kernapay
from tests import node
from tests.sandbox.sandbox_process import KEY, WEBHOOK_SECRET, SandboxProcess
from tests.sandbox.webhook_receiver import WebhookReceiver

VERSION = "2.9.6"
EXAMPLES = Path(kernapay.__file__).parent / "docs" / "examples"
SCRIPT = Path(__file__).with_name("node_sdk.js")


@pytest.fixture(scope="module")
def modules() -> Path:
    return node.installed("razorpay", VERSION)


def test_the_node_sdk_makes_every_call(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any], modules: Path
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(modules),
        "SANDBOX": sandbox.url,
        "KEY_ID": KEY[0],
        "KEY_SECRET": KEY[1],
    }
    result = subprocess.run(
        ["node", str(SCRIPT)], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "orders": ["create", "fetch", "all", "edit", "fetchPayments"],
        "payments": ["fetch", "all", "edit", "capture", "fetchCardDetails", "refund",
                     "fetchMultipleRefund", "fetchRefund", "fetchPaymentDowntime", "fetchPaymentDowntimeById",
                     "fetch"],
        "accounts": ["create", "fetch", "edit"],
        "stakeholders": ["create", "fetch", "edit", "all"],
        "products": ["requestProductConfiguration", "fetch", "edit"],
        "customers": ["create", "fetch", "edit", "all"],
        "paymentLink": ["create", "fetch", "all", "cancel"],
        "refunds": ["fetch", "all", "edit"],
        "settlements": ["all", "fetch", "reports"],
        "disputes": ["all", "fetch", "accept", "contest"],
        "errors": [400, 401, 429, 500],
    }  # fmt: skip
    received = receiver.wait_for(1)[0]
    verify = (
        "const R = require('razorpay');"
        "process.stdout.write(String(R.validateWebhookSignature(...process.argv.slice(1))))"
    )
    verification = subprocess.run(
        ["node", "-e", verify, received.body.decode(), received.signature, WEBHOOK_SECRET],
        env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert verification.stdout == "true", verification.stderr


def test_a_program_that_knows_only_razorpays_address_reaches_the_sandbox(
    sandbox: SandboxProcess, modules: Path
) -> None:
    program = (
        "const R = require('razorpay'); const [key_id, key_secret] = process.argv.slice(1);"
        "new R({key_id, key_secret}).orders.create({amount: 50000, currency: 'INR', notes: {a: 'é'}})"
        ".then((order) => process.stdout.write(order.id))"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(modules),
        "RAZORPAY_SANDBOX": sandbox.url,
    }
    result = subprocess.run(
        ["node", "--require", str(EXAMPLES / "razorpay-sandbox.cjs"), "-e", program, *KEY],
        env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert sandbox.fetch_order(result.stdout)["notes"] == {"a": "é"}
