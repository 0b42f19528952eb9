"""The processes that tests talk to, and how to talk to the sandbox."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

import httpx
import msgspec

from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.process import Child, Process
from kernapay.devstack.stack import answers
from tests import secrecy
from tests.aliases import Json, json_of
from tests.plain_http import PlainTransport
from tests.preloaded import COVERAGE, can_fork, preloaded

KEY_ID = "rzp_test_kernapay"
KEY_SECRET = "sandbox_secret_kernapay_0001"
STRONG_KEY_ID = "rzp_test_production"
STRONG_KEY_SECRET = "Zr4vQ8mK1xW7nB2cT9yH5jL0"
WEBHOOK_SECRET = "whsec_tests_4f0c9a1be27d"
PREVIOUS_WEBHOOK_SECRET = "whsec_tests_before_77a1c0d2"
WEBHOOK_PATH = "/v1/api/payments/webhook"
METRICS_TOKEN = "metrics-tests-93b0c6d1f7a24e58"
JWT_SECRET = "jwt-tests-0d1f6c3e8a5b479288e1c0ffee42"
GRACE_SECONDS = 5
MUTANT = "MUTANT_UNDER_TEST"
"""The variable in which a mutation run names the mutant that it tries."""

secrecy.confidential.update(
    (
        *(KEY_SECRET, STRONG_KEY_SECRET, WEBHOOK_SECRET, PREVIOUS_WEBHOOK_SECRET),
        *(METRICS_TOKEN, JWT_SECRET),
    )
)


def bare_environment() -> dict[str, str]:
    """Return the variables that a child process needs, without anybody's settings."""
    names = ["PATH", "HOME", "LANG", COVERAGE, "COVERAGE_FILE"]
    # Its other values are for the process of the tests alone.
    if "." in os.environ.get(MUTANT, ""):
        names.append(MUTANT)
    return {name: os.environ[name] for name in names if name in os.environ}


def end(process: Process) -> None:
    """Kill a process; where coverage is measured, with SIGTERM first, so that it can store its data."""
    if COVERAGE in os.environ:
        process.stop(GRACE_SECONDS)
    else:
        process.kill()


class PythonProcess(Process):
    """A Python module as a child process."""

    def start_child(self, command: Sequence[str]) -> Child:
        env = self.env or {}
        if not can_fork(command, env):
            return super().start_child(command)
        with self.log.open("ab") as log:
            return preloaded().start(command, env, log, log, death_signal=self.death_signal)


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token or an API key."""
    return {"Authorization": f"Bearer {token}"}


class Server:
    """A Python server as a child process, with a client of it."""

    def __init__(
        self,
        name: str,
        home: Path,
        arguments: list[str],
        env: Mapping[str, str],
        ready_at: str,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        command = (sys.executable, "-m", *arguments, "--port", str(self.port))
        self.process = PythonProcess(
            name,
            home / f"{name}-{self.port}",
            command,
            {**bare_environment(), **env},
            lambda: answers(self.url + ready_at),
        )
        self.client = httpx.Client(
            base_url=self.url,
            trust_env=False,
            timeout=20,
            event_hooks=secrecy.hooks(),
            transport=PlainTransport(),
        )

    def launch(self) -> Self:
        self.process.launch()
        return self

    def wait(self) -> Self:
        self.process.wait_ready(60)
        return self

    def __enter__(self) -> Self:
        """Launch it and wait until it answers."""
        try:
            return self.launch().wait()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end()

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self) -> None:
        """Kill it; where coverage is measured, let it write down first which of its lines ran."""
        self._close_client()
        end(self.process)

    def kill(self) -> None:
        self._close_client()
        self.process.kill()

    def _close_client(self) -> None:
        self.client.close()

    def log(self) -> str:
        return self.process.log.read_text() if self.process.log.exists() else ""

    def log_entries(self, event: str | None = None, **fields: object) -> list[Json]:
        """Return the log's JSON lines with this event and these fields."""
        entries = []
        for line in self.log().splitlines():
            with suppress(msgspec.DecodeError):
                entry = msgspec.json.decode(line)
                if event in (None, entry.get("event")) and fields.items() <= entry.items():
                    entries.append(entry)
        return entries


class SandboxServer(Server):
    """`kernapay sandbox` without a file, for the tests' key and one that production accepts."""

    def __init__(self, home: Path, **env: str) -> None:
        keys = f"{KEY_ID}:{KEY_SECRET},{STRONG_KEY_ID}:{STRONG_KEY_SECRET}"
        env = {"SANDBOX_KEYS": keys, **env}
        super().__init__("sandbox", home, ["kernapay.sandbox"], env, "/_sandbox/health")


class Api(Server):
    """A KernaPay API served by Granian."""

    def __init__(
        self, home: Path, env: Mapping[str, str], *, port: int | None = None, workers: int = 1
    ) -> None:
        arguments = ["kernapay", "serve", "--workers", str(workers)]
        env = {"METRICS_TOKEN": METRICS_TOKEN, **env}
        super().__init__("api", home, arguments, env, "/health/live", port)
        self._metrics_token = env["METRICS_TOKEN"]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        super().__exit__(kind)
        if kind is None:
            self.assert_no_unhandled_errors()

    def assert_no_unhandled_errors(self) -> None:
        errors = [entry.get("exception") for entry in self.log_entries("unhandled_error")]
        assert not errors, errors[0]

    def _close_client(self) -> None:
        if self.process.is_running and not self.client.is_closed:
            # An API that was made to hang, or is shutting down, does not answer.
            with suppress(httpx.TransportError):
                self._store_metrics()
        super()._close_client()

    def _store_metrics(self) -> None:
        answer = self.client.get("/metrics", headers=bearer(self._metrics_token), timeout=2)
        assert answer.status_code == 200, answer.text
        with self.process.log.with_suffix(".metrics").open("a") as metrics:
            metrics.write(answer.text)


class StartApi(Protocol):
    def __call__(self, workers: int = 1, /, **env: str) -> Api: ...


WORKER_BUGS = ("sweep_broken", "work_broken")
"""What a worker logs when its own code is wrong."""


class Worker(PythonProcess):
    """`kernapay worker`, ready once it works."""

    def __init__(self, home: Path, env: Mapping[str, str], *options: str) -> None:
        super().__init__(
            "worker",
            home,
            (sys.executable, "-m", "kernapay", "worker", *options),
            {**bare_environment(), **env},
            # Not what an earlier launch wrote to the same log.
            lambda: any("worker_started" in line for line in self.log_lines()),
        )


class StartWorker(Protocol):
    def __call__(self, **env: str) -> Worker: ...


class Sandbox:
    """A client of the sandbox: of Razorpay's API, and of the calls that play customers and faults."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(
            base_url=url,
            trust_env=False,
            timeout=20,
            auth=(KEY_ID, KEY_SECRET),
            event_hooks=secrecy.hooks(),
            transport=PlainTransport(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def call(self, method: str, path: str, body: object = None, **params: Any) -> Json:
        answer = self.client.request(
            method, path, json=body, params={k: v for k, v in params.items() if v is not None}
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return json_of(answer) if answer.content else {}

    def items(self, path: str, **params: Any) -> list[Json]:
        """Return the items of a collection of Razorpay's API."""
        found: list[Json] = self.call("GET", path, **params)["items"]
        return found

    def pay(self, order_id: str, outcome: str = "success", **play: Any) -> Json:
        """Let the customer pay; return what Checkout hands to the page: ids and signature, or an error."""
        return self.call(
            "POST", "/_sandbox/pay", {"order_id": order_id, "outcome": outcome, **play}
        )

    def payment(self, payment_id: str) -> Json:
        """Return the payment as the gateway has it."""
        return self.call("GET", f"/v1/payments/{payment_id}")

    def refund(self, payment_id: str, amount: int | None = None) -> Json:
        body = {} if amount is None else {"amount": amount}
        return self.call("POST", f"/v1/payments/{payment_id}/refund", body)

    def order(self, amount: int = 50000, receipt: str | None = None) -> Json:
        """Create an order past KernaPay."""
        body = {"amount": amount, "currency": "INR", "receipt": receipt}
        return self.call("POST", "/v1/orders", {k: v for k, v in body.items() if v is not None})

    def orders(self, receipt: str) -> list[Json]:
        return self.items("/v1/orders", receipt=receipt)

    def order_count(self) -> int:
        return int(self.call("GET", "/_sandbox/overview")["counts"]["order"])

    def fault(self, name: str, times: int | None = 1, **more: Any) -> Json:
        """Arm a fault; `route`, `method` and `options` as the sandbox knows them."""
        return self.call("POST", "/_sandbox/faults", {"name": name, "times": times, **more})

    def hits(self, fault: Mapping[str, Any]) -> int:
        armed = {each["id"]: each["hits"] for each in self.items("/_sandbox/faults")}
        return int(armed.get(fault["id"], fault["times"]))

    def clear(self) -> None:
        """Disarm the faults, set the real time, remove the webhooks."""
        self.call("DELETE", "/_sandbox/faults")
        self.call("POST", "/_sandbox/clock", {"reset": True})
        for endpoint in self.items("/_sandbox/webhooks"):
            self.call("DELETE", f"/_sandbox/webhooks/{endpoint['id']}")

    def deliver_to(
        self, url: str, secret: str = WEBHOOK_SECRET, events: tuple[str, ...] = ()
    ) -> Json:
        """Register an API's webhook; `clear` removes it."""
        body = {"url": url + WEBHOOK_PATH, "secret": secret, "events": list(events)}
        return self.call("POST", "/_sandbox/webhooks", body)

    def deliveries(self, **which: str) -> list[Json]:
        return self.items("/_sandbox/deliveries", **which)

    def advance(self, seconds: float) -> None:
        self.call("POST", "/_sandbox/clock", {"advance": seconds})
