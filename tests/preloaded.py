"""`python -m kernapay …` as processes that start at once.

Importing the service takes two seconds of CPU, and the tests start it hundreds of times. So each test worker has one
process that has imported everything. A fork of it gets the environment, session, arguments and output of its own, and
runs the module as a new interpreter would.
"""

import ctypes
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from select import select
from threading import Lock, active_count
from typing import IO, Any, Final

from kernapay.core.gc import frozen_start
from kernapay.devstack.parent_death_signal import PR_SET_PDEATHSIG

PYTHON: Final = (sys.executable, "-m")
COVERAGE: Final = "COVERAGE_PROCESS_START"
_MODULES: Final = (
    *("kernapay.asgi", "kernapay.worker", "kernapay.sandbox.app", "kernapay.sandbox.cli"),
    *("kernapay.commands.main", "kernapay.commands.serve", "kernapay.commands.worker"),
    *("kernapay.commands.api_server", "granian.server"),
)
_LARGEST_REQUEST: Final = 1 << 20


class Forked:
    """A started process: what the tests use of `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], pid: int, exits: int) -> None:
        self.pid = pid
        self._command = list(command)
        self._exits = exits
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._command, timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _look(self, timeout: float | None) -> int | None:
        if self._code is None and select([self._exits], [], [], timeout)[0]:
            self._code = int(os.read(self._exits, 16))
            os.close(self._exits)
        return self._code


class Preloaded:
    """The process that has imported everything, seen from the tests."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = Lock()
        with theirs:
            # It ends when its socket closes, so also after a kill of the tests.
            self._process = subprocess.Popen(
                [*PYTHON, __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def start(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
        cwd: Path | None = None,
        death_signal: int = signal.SIGKILL,
    ) -> Forked:
        """Start `python -m module …` in a session of its own."""
        request = {
            "arguments": list(command[len(PYTHON) :]),
            "env": dict(env),
            "cwd": str(cwd or Path.cwd()),
            "death_signal": int(death_signal),
        }
        exits, theirs = os.pipe()
        descriptors = [stdout.fileno(), stderr.fileno(), theirs]
        with self._lock:
            socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)
            os.close(theirs)
            pid = int(self._requests.recv(16))
        return Forked(command, pid, exits)


_starting: Final = Lock()


def preloaded() -> Preloaded:
    """Return this test worker's process; the first call starts it."""
    # Threads that call it first at the same time must share one: another would end, and its forks with it.
    with _starting:
        return _start()


@cache
def _start() -> Preloaded:
    return Preloaded()


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a fork is the same as a new interpreter for this command."""
    is_module = tuple(command[: len(PYTHON)]) == PYTHON
    # These are read when the interpreter starts and when prometheus-client is imported.
    is_read_at_start = any(
        name.startswith(("PYTHON", COVERAGE, "PROMETHEUS_MULTIPROC_DIR")) for name in env
    )
    has_one_worker = "--workers" not in command or command[command.index("--workers") + 1] == "1"
    return sys.platform == "linux" and is_module and has_one_worker and not is_read_at_start


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request, and return it in the fork. Ends when the tests have ended."""
    children: dict[int, int] = {}
    ended, wakeup = socket.socketpair()
    ended.setblocking(False)
    wakeup.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno())
    parent = os.getpid()
    while True:
        ready, _, _ = select([requests, ended], [], [])
        if ended in ready:
            ended.recv(4096)
            _report(children)
        if requests not in ready:
            continue
        data, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 3)
        if not data:
            sys.exit()
        *outputs, exits = descriptors
        has_session, session = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for opened in (requests, ended, wakeup):
                opened.close()
            os.close(has_session)
            for number, output in enumerate(outputs, start=1):
                os.dup2(output, number)
            for descriptor in (*descriptors, *children.values()):
                os.close(descriptor)
            return {**json.loads(data), "parent": parent, "session": session}
        for descriptor in (*outputs, session):
            os.close(descriptor)
        # Until its end is closed: who kills its process group at once must find one.
        os.read(has_session, 1)
        os.close(has_session)
        children[pid] = exits
        requests.send(str(pid).encode())


def _report(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        exits = children.pop(pid)
        os.write(exits, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(exits)


def _become(request: dict[str, Any]) -> None:
    """Take on the session and the environment of the command."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, request["death_signal"])
    if os.getppid() != request["parent"]:
        sys.exit("The parent ended before the signal was set.")
    os.setsid()
    os.close(request["session"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]


def _fill_caches() -> None:
    """Build an application: Litestar remembers what it finds out about types."""
    environment = import_module("tests.environment")  # which imports this module
    import_module("kernapay.app").create_app(environment.settings_from(environment.REQUIRED))


def _main(descriptor: int) -> None:
    # No fork looks through, and so copies, what all of them share.
    with frozen_start():
        for module in _MODULES:
            import_module(module)
        _fill_caches()
    if active_count() > 1:
        sys.exit("Importing the service starts a thread: a fork would lose it.")
    request = _serve(socket.socket(fileno=descriptor))
    _become(request)
    module, *arguments = request["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
