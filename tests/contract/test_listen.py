"""`kernapay listen` shows and forwards what `kernapay trigger` lets happen."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook

from kernapay.commands.listen import Listener
from kernapay.commands.main import cli
from kernapay.devstack.demo_session import signed_in
from tests.contract.running import DevStack
from tests.deliveries.receiver import Receiver
from tests.http_server import HttpServer, Response
from tests.plain_http import NO_AUTHORITIES
from tests.stack import bare_environment
from tests.waiting import eventually

pytestmark = pytest.mark.long

TYPES = [
    *("payment.created", "payment.succeeded", "payment.cancelled"),
    *("refund.requested", "refund.processed", "refund.failed"),
    *("dispute.opened", "dispute.action_required", "dispute.won", "dispute.lost"),
    "settlement.processed",
]


def run(*arguments: object) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, [*map(str, arguments)])
    return ran.exit_code, ran.output


@pytest.fixture
def listening(
    dev_stack: DevStack, tmp_path: Path
) -> Iterator[tuple[Receiver, Path, "subprocess.Popen[bytes]"]]:
    """A `kernapay listen` that forwards to a receiver, and what it prints."""
    output = tmp_path / "listen.log"
    with Receiver() as receiver, output.open("wb") as screen:
        command = ["listen", "--forward-to", f"{receiver.url}/hook", "--data", str(dev_stack.home)]
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "kernapay", *command],
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
        )
        try:
            eventually(lambda: "Forwarding to" in output.read_text())
            yield receiver, output, child
        finally:
            child.kill()
            child.wait()


def test_what_is_triggered_arrives_signed(
    dev_stack: DevStack, listening: tuple[Receiver, Path, "subprocess.Popen[bytes]"]
) -> None:
    receiver, output, child = listening
    secret = next(word for word in output.read_text().split() if word.startswith("whsec_"))
    subjects: dict[str, str] = {}
    for event_type in TYPES:
        code, said = run("trigger", event_type, "--data", dev_stack.home)
        assert code == 0, said
        subjects[event_type] = said.split()[-1]

    def missing() -> list[str]:
        bodies = [each.body.decode() for each in list(receiver.received)]
        return [
            event_type
            for event_type, subject in subjects.items()
            if not any(f'"type":"{event_type}"' in body and subject in body for body in bodies)
        ]

    eventually(lambda: not missing())
    for each in receiver.received:
        assert each.path == "/hook"
        Webhook(secret).verify(each.body, dict(each.headers))
    assert len(set(receiver.ids())) == len(receiver.received), "each event once"
    # It is shown once the receiver has answered.
    eventually(lambda: all(event_type in output.read_text() for event_type in TYPES))
    shown = output.read_text()
    assert "→ 200" in shown
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0
    assert "Traceback" not in output.read_text()


def test_an_endpoint_on_this_machine_gets_what_happens_on_the_stack(dev_stack: DevStack) -> None:
    with Receiver() as receiver, signed_in(dev_stack.api, dev_stack.home, "USER") as shop:
        url = receiver.url.replace("127.0.0.1", "localhost")
        made = shop.post("/v1/api/endpoints", json={"url": f"{url}/hook"})
        assert made.status_code == 201, made.text
        path = f"/v1/api/endpoints/{made.json()['endpoint']['_id']}"
        assert run("trigger", "refund.processed", "--data", dev_stack.home)[0] == 0
        eventually(lambda: any(b'"refund.processed"' in each.body for each in receiver.received))
        assert shop.delete(path).status_code == 200
    for each in receiver.received:
        Webhook(made.json()["secret"]).verify(each.body, dict(each.headers))
    types = [json.loads(each.body)["type"] for each in receiver.received]
    assert types == ["payment.created", "payment.succeeded", "refund.requested", "refund.processed"]


@pytest.mark.parametrize("asked", [["payment.exploded"], []])
def test_a_type_that_cannot_be_triggered_is_refused_with_those_that_can(
    dev_stack: DevStack, asked: list[str]
) -> None:
    code, said = run("trigger", *asked, "--data", dev_stack.home)
    assert code == 2
    assert "payment.succeeded" in said


@pytest.mark.parametrize("command", ["listen", "trigger payment.created"])
def test_without_a_stack_they_say_how_to_start_one(tmp_path: Path, command: str) -> None:
    code, said = run(*command.split(), "--data", tmp_path)
    assert code == 1
    assert "kernapay dev" in said
    assert "Traceback" not in said


def test_another_api_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNAPAY_API_KEY", raising=False)
    code, said = run("listen", "--api", "http://127.0.0.1:9")
    assert (code, "KERNAPAY_API_KEY" in said) == (1, True)


def test_a_secret_of_the_environment_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNAPAY_LISTEN_SECRET", "whsec_***")
    code, said = run("listen", "--forward-to", "http://127.0.0.1:9")
    assert (code, "standard base64" in said) == (1, True)


def test_an_api_that_is_away_is_asked_again_and_one_that_refuses_is_not() -> None:
    since = datetime(2026, 1, 31, tzinfo=UTC)
    with (
        HttpServer(Response(503)) as server,
        httpx.Client(base_url=server.url, verify=NO_AUTHORITIES) as client,
    ):

        def pause() -> None:
            server.response = Response(401, b"no")

        events = Listener(client, pause, since).events()
        with pytest.raises(click.ClickException, match="401"):
            next(events)
        assert [each.path for each in server.requests] == [
            "/v1/api/events?from=2026-01-31T00%3A00%3A00Z&count=100"
        ] * 2
