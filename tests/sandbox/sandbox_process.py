"""The sandbox as a process, with clients of its API and of its own calls."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests import secrecy
from tests.plain_http import PlainTransport
from tests.preloaded import PYTHON, Forked, can_fork, preloaded
from tests.waiting import eventually

T = TypeVar("T")

KEY = ("rzp_test_kernapay", "sandbox_secret_kernapay_0001")
OTHER_KEY = ("rzp_test_other", "sandbox_secret_other_0002")
WEBHOOK_SECRET = "whsec_of_the_tests"
secrecy.confidential.update((KEY[1], OTHER_KEY[1], WEBHOOK_SECRET))

# Midnight (UTC) of 1 January 2026.
NEW_YEAR = 1_767_225_600
DAY = 86_400


def wait_for(condition: Callable[[], T | None], seconds: float = 15) -> T:
    """Return the condition's first true value."""
    return eventually(condition, seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SandboxProcess:
    """`kernapay sandbox` with three clients: `api` and `other_api` have a key, `anonymous` has none."""

    def __init__(
        self, home: Path, *options: str, is_preloaded: bool = True, **environ: str
    ) -> None:
        self.home = home
        self._is_preloaded = is_preloaded
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = self._client(auth=KEY)
        self.other_api = self._client(auth=OTHER_KEY)
        self.anonymous = self._client()
        self._options = options
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")}
        keys = ",".join(":".join(key) for key in (KEY, OTHER_KEY))
        self._environ = {**inherited, "SANDBOX_KEYS": keys, **environ}
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def _client(self, **options: Any) -> httpx.Client:
        hooks = secrecy.hooks()
        return httpx.Client(
            base_url=self.url,
            timeout=20,
            trust_env=False,
            event_hooks=hooks,
            transport=PlainTransport(),
            **options,
        )

    def start(self) -> "SandboxProcess":
        command = [*PYTHON, "kernapay.sandbox", "--port", str(self.port), *self._options]
        with (self.home / "sandbox.log").open("ab") as log:
            if self._is_preloaded and can_fork(command, self._environ):
                self.process = preloaded().start(command, self._environ, log, log)
            else:
                self.process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        wait_for(self._is_ready, 40)
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.anonymous.get("/_sandbox/health").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def log(self) -> str:
        return (self.home / "sandbox.log").read_text()

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send the signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal_number)
        return self.process.wait(10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        for client in (self.api, self.other_api, self.anonymous):
            client.close()

    def control(self, path: str, method: str = "POST", /, **body: Any) -> Any:
        """Make one of the sandbox's own calls."""
        response = self.anonymous.request(method, f"/_sandbox{path}", json=body)
        assert response.status_code in {200, 204}, response.text
        return response.json() if response.content else None

    def inspect(self, path: str) -> Any:
        """Return what the sandbox shows of itself at a path under /_sandbox."""
        response = self.anonymous.get(f"/_sandbox{path}")
        assert response.status_code == 200, response.text
        return response.json()

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """Call the API and return the body of its 200."""
        response = self.api.request(method, path, json=body, **options)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def expect_error(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> dict[str, Any]:
        """Call the API and return the error of its 400."""
        response = self.api.request(method, path, json=body, **options)
        assert response.status_code == 400, response.text
        return dict(response.json()["error"])

    def create_order(self, amount: int = 50_000, **fields: Any) -> dict[str, Any]:
        return self.call("POST", "/v1/orders", {"amount": amount, "currency": "INR", **fields})

    def fetch_order(self, order_id: str) -> dict[str, Any]:
        return self.call("GET", f"/v1/orders/{order_id}")

    def pay(self, order: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Return what Checkout hands to the page: ids and signature, or an error."""
        return dict(self.control("/pay", order_id=order["id"], **fields))

    def create_payment(self, amount: int = 50_000, **fields: Any) -> dict[str, Any]:
        """Pay a new order and return the captured payment."""
        response = self.pay(self.create_order(amount), **fields)
        return self.fetch_payment(response["razorpay_payment_id"])

    def fail_payment(self, order: dict[str, Any]) -> str:
        """Let a payment of the order fail and return its id."""
        error = self.pay(order, outcome="failure")["error"]
        return str(error["metadata"]["payment_id"])

    def fetch_payment(self, payment_id: str) -> dict[str, Any]:
        return self.call("GET", f"/v1/payments/{payment_id}")

    def arm_fault(self, name: str, **fields: Any) -> dict[str, Any]:
        return dict(self.control("/faults", name=name, **fields))

    def freeze_clock(self, now: int = NEW_YEAR) -> None:
        self.control("/clock", now=now, frozen=True)

    def advance_clock(self, seconds: float) -> None:
        self.control("/clock", advance=seconds)
