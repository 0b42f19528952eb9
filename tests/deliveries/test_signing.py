"""What we sign, receivers verify with the published libraries of Standard Webhooks, in Python and in Node."""

import base64
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from kernapay.deliveries.catalogue import example_of
from kernapay.deliveries.models import EventType
from kernapay.deliveries.signing import key_of, new_secret, sign
from tests import node
from tests.checkout import ROOT

NODE_VERSION = "1.1.1"
BODY = '{"type":"payment.succeeded","data":{"description":"ñ 😀 ₹ \u2028 \\"</script>"}}'.encode()
EVENT_ID = "evt_66b1f0c2a7d4e5f601234567_2_a1b2"


def headers_of(*signers: str, body: bytes = BODY, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return sign([key_of(each) for each in signers], EVENT_ID, int(at.timestamp()), body)


def test_a_secret_has_the_form_and_the_length_that_the_specification_asks_for() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert new_secret() != secret


def test_the_python_library_verifies_a_signature() -> None:
    secret = new_secret()
    found = Webhook(secret).verify(BODY, headers_of(secret))
    assert found["type"] == "payment.succeeded"


def test_during_a_rotation_either_secret_verifies() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    headers = headers_of(new, old)
    for secret in (old, new):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, headers)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_66b1f0c2a7d4e5f601234567_3_a1b2"},
        {"webhook-timestamp": str(int(datetime.now(UTC).timestamp()) + 7)},
    ],
)
def test_a_changed_header_is_noticed(change: dict[str, str]) -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, {**headers_of(secret), **change})


def test_a_changed_body_is_noticed() -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", headers_of(secret))


def test_an_old_request_cannot_be_sent_again() -> None:
    secret = new_secret()
    headers = headers_of(secret, at=datetime.now(UTC) - timedelta(minutes=6))
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(BODY, headers)


def test_the_script_of_the_readme_verifies_and_reads_an_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "kernapay" / "docs" / "events.md").read_text()
    script = text.partition("```python\n")[2].partition("```")[0]
    secret = new_secret()
    body = msgspec.json.encode(example_of(EventType.PAYMENT_SUCCEEDED))
    given = {"SECRET": secret, "body": body, "headers": headers_of(secret, body=body)}
    exec(script, given)
    assert capsys.readouterr().out.startswith("payment.succeeded PAY_")
    given["body"] = body + b" "
    with pytest.raises(WebhookVerificationError):
        exec(script, given)


@pytest.fixture(scope="module")
def modules() -> Path:
    return node.installed("standardwebhooks", NODE_VERSION)


VERIFY = """
const { Webhook } = require('standardwebhooks');
const [secret, id, timestamp, signature] = process.argv.slice(1);
const chunks = [];
process.stdin.on('data', chunk => chunks.push(chunk));
process.stdin.on('end', () => {
  const headers = {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature};
  try {
    process.stdout.write(new Webhook(secret).verify(Buffer.concat(chunks), headers).type);
  } catch (error) {
    process.stdout.write('refused: ' + error.message);
  }
});
"""


def verify_in_node(modules: Path, secret: str, headers: dict[str, str], body: bytes) -> str:
    result = subprocess.run(
        ["node", "-e", VERIFY, secret, *headers.values()],
        input=body,
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(modules)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.decode()


def test_the_node_library_verifies_a_signature(modules: Path) -> None:
    old, new = new_secret(), new_secret()
    for secret in (old, new):
        assert verify_in_node(modules, secret, headers_of(new, old), BODY) == "payment.succeeded"
    assert "refused" in verify_in_node(modules, new_secret(), headers_of(new, old), BODY)
