"""A sandbox in a process of its own, and an endpoint for its webhooks."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx

from tests import secrecy

T = TypeVar("T")

KEY = ("rzp_test_kernapay", "sandbox_secret_kernapay_0001")
OTHER_KEY = ("rzp_test_other", "sandbox_secret_other_0002")
WEBHOOK_SECRET = "whsec_of_the_tests"
secrecy.confidential.update((KEY[1], OTHER_KEY[1], WEBHOOK_SECRET))


def wait_for(condition: Callable[[], T], seconds: float = 15) -> T:
    """Return the condition's first truthy value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Box:
    """`kernapay sandbox` with a client at its API and one at its own calls."""

    def __init__(self, home: Path, *options: str, **environ: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = self._client(auth=KEY)
        self.other = self._client(auth=OTHER_KEY)
        self.stranger = self._client()
        self._options = options
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")}
        keys = ",".join(":".join(key) for key in (KEY, OTHER_KEY))
        self._environ = {**clean, "SANDBOX_KEYS": keys, **environ}
        self.process: subprocess.Popen[bytes] | None = None

    def _client(self, **options: Any) -> httpx.Client:
        hooks = secrecy.hooks()
        return httpx.Client(
            base_url=self.url, timeout=20, trust_env=False, event_hooks=hooks, **options
        )

    def start(self) -> "Box":
        command = [sys.executable, "-m", "kernapay.sandbox", "--port", str(self.port)]
        with (self.home / "sandbox.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self._options], env=self._environ, stdout=log, stderr=log
            )
        wait_for(self._answers, 40)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.stranger.get("/_sandbox/health").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def log(self) -> str:
        return (self.home / "sandbox.log").read_text()

    def end(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
        for client in (self.api, self.other, self.stranger):
            client.close()

    def control(self, path: str, verb: str = "POST", **body: Any) -> Any:
        answer = self.stranger.request(verb, f"/_sandbox{path}", json=body)
        assert answer.status_code in {200, 204}, answer.text
        return answer.json() if answer.content else None

    def look(self, path: str) -> Any:
        answer = self.stranger.get(f"/_sandbox{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, amount: int = 50_000, **more: Any) -> dict[str, Any]:
        return self.ok("POST", "/v1/orders", {"amount": amount, "currency": "INR", **more})

    def pay(self, order: dict[str, Any], **play: Any) -> dict[str, Any]:
        return self.control("/pay", order_id=order["id"], **play)

    def paid(self, amount: int = 50_000, **play: Any) -> dict[str, Any]:
        """Return a captured payment."""
        paid = self.pay(self.order(amount), **play)
        return self.payment(paid["razorpay_payment_id"])

    def payment(self, payment_id: str) -> dict[str, Any]:
        return self.ok("GET", f"/v1/payments/{payment_id}")

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        answer = self.api.request(method, path, json=body, **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def error(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Return the error of a call that must be refused with 400."""
        answer = self.api.request(method, path, json=body, **more)
        assert answer.status_code == 400, answer.text
        return dict(answer.json()["error"])

    def fault(self, name: str, **more: Any) -> dict[str, Any]:
        return dict(self.control("/faults", name=name, **more))

    def advance(self, seconds: float) -> None:
        self.control("/clock", advance=seconds)


class Hook(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return str(json.loads(self.body)["event"])

    @property
    def signature(self) -> str:
        return self.headers["x-razorpay-signature"]

    @property
    def event_id(self) -> str:
        return self.headers["x-razorpay-event-id"]


class Receiver(ThreadingHTTPServer):
    """An endpoint that notes every webhook and answers as told: a status, or None for silence."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hooks"
        self.hooks: list[Hook] = []
        self.answers: deque[int | None] = deque()
        self.otherwise: int = 200
        self.released = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[str]:
        return [hook.event for hook in self.hooks]

    def wait(self, count: int) -> list[Hook]:
        wait_for(lambda: len(self.hooks) >= count)
        return self.hooks[:count]

    def close(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.answers.popleft() if self.server.answers else self.server.otherwise
        self.server.hooks.append(Hook(headers, body))
        if status is None:
            self.server.released.wait(30)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass
