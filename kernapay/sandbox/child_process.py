"""A sandbox in a process of its own, for tests of any project."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from kernapay.sandbox.config import DEFAULT_KEY

START_SECONDS: Final = 60
ATTEMPTS: Final = 3
# A proxy of the environment must not get what is meant for this machine.
_OPENER: Final = build_opener(ProxyHandler({}))


class SandboxStartError(RuntimeError):
    """The process ended or did not answer. The message has what it printed."""


class SandboxCallError(RuntimeError):
    """The sandbox refused one of its own calls."""


class ChildSandbox:
    """`with ChildSandbox() as sandbox:` runs a sandbox on a free port, its data in memory.

    `environ` takes variables of `kernapay sandbox`, such as `SANDBOX_CAPTURE="manual"`.
    """

    key_id, key_secret = DEFAULT_KEY

    def __init__(self, **environ: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")}
        self._environ = {**inherited, "SANDBOX_KEYS": ":".join(DEFAULT_KEY), **environ}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start()
            except SandboxStartError:
                # Another program may have taken the port in between.
                if attempt == ATTEMPTS:
                    raise
            else:
                break
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def control(self, path: str, method: str = "POST", /, **body: Any) -> Any:
        """Make a call under /_sandbox and return its answer. Raise SandboxCallError if it is refused."""
        data = None if method == "GET" else json.dumps(body).encode()
        request = Request(f"{self.url}/_sandbox{path}", data, method=method)  # noqa: S310
        try:
            with _OPENER.open(request, timeout=30) as answer:
                content = answer.read()
        except HTTPError as error:
            raise SandboxCallError(error.read().decode()) from None
        return json.loads(content) if content else None

    def pay(self, order_id: str, **fields: Any) -> dict[str, Any]:
        """Play the customer and return what Checkout hands to the page: three fields, or an error."""
        return dict(self.control("/pay", order_id=order_id, **fields))

    def reset(self) -> None:
        """Remove everything except the key."""
        self.control("/reset")

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "kernapay.sandbox", "--port", str(port)]
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(  # noqa: S603
                command, env=self._environ, stdout=output, stderr=subprocess.STDOUT
            )
            deadline = time.monotonic() + START_SECONDS
            while not self._is_ready():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._stop()
                    output.seek(0)
                    printed = output.read().decode(errors="replace")[-2000:]
                    raise SandboxStartError(f"The sandbox did not start.\n{printed}")
                time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            self.control("/health", "GET")
        except (URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _stop(self) -> None:
        if self._process is not None:
            # Its data is in memory, so there is nothing to save.
            self._process.kill()
            self._process.wait()
            self._process = None
