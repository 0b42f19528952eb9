"""Child processes that never outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kernapay.devstack import tether
from kernapay.devstack.pidfile import InUse, PidFile

MAX_LOG = 16 * 1024 * 1024

# The kernel ties a tethered child to the thread that forked it, so one thread that lives as long
# as the process forks them all, whichever thread asks.
_forks = ThreadPoolExecutor(1, thread_name_prefix="forks")


def _go_on() -> None:
    """Find nothing that should end a wait."""


class ServerError(RuntimeError):
    """A server did not start, or cannot be used."""


class Process:
    """A command in its own session, with its log and its pid in files of its home."""

    def __init__(
        self,
        name: str,
        home: Path,
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.home = home
        self.log = home / f"{name}.log"
        self._command = command
        self._env = env
        self._ready = ready
        # What the kernel sends it when we die without stopping it (Linux).
        self._death_signal = death_signal
        self._pid_file = PidFile(home / f"{name}.pid")
        self._popen: subprocess.Popen[bytes] | None = None
        self._is_buried = False

    def command(self) -> Sequence[str]:
        return self._command

    def ready(self) -> bool:
        """Tell whether it does its work already."""
        return self._ready()

    def explain(self, exit_code: int) -> str:
        """Say what an exit before readiness means."""
        return f"{self.name} ended with exit code {exit_code}. Its last lines:\n{self.tail()}"

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None else None

    @property
    def exit_code(self) -> int | None:
        """Return the exit code once it has ended (negative: the signal), else None."""
        return self._popen.poll() if self._popen is not None else None

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def launch(self) -> None:
        """Start without waiting; raise ServerError when the home is in use."""
        if self.is_running:
            raise ServerError(f"{self.name} is running already.")
        self.home.mkdir(parents=True, exist_ok=True)
        self._pid_file.release()
        try:
            self._pid_file.acquire()
        except InUse:
            raise ServerError(f"{self.home} is in use by another running {self.name}.") from None
        self._pid_file.sweep()
        command = list(self.command())
        if sys.platform == "linux":
            # -I -S: nothing of the environment or of site-packages, so it starts in no time.
            script = [sys.executable, "-I", "-S", str(tether.__file__)]
            command = [*script, str(os.getpid()), str(int(self._death_signal)), *command]
        if self.log.exists() and self.log.stat().st_size > MAX_LOG:
            self.log.unlink()
        with self.log.open("ab") as log:
            self._popen = _forks.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            ).result()
        self._is_buried = False
        self._pid_file.write(self._popen.pid, self.command())

    def wait_ready(self, timeout: float = 30, check: Callable[[], None] = _go_on) -> None:
        """Wait until it is ready; raise ServerError when it ends first or is too slow (seconds).

        What `check` raises ends the wait.
        """
        deadline = time.monotonic() + timeout
        while True:
            # In this order: someone else's server on our port must not pass for ours.
            ready = self.is_running and self.ready()
            if (code := self.exit_code) is not None:
                message = self.explain(code)
                self.kill()
                raise ServerError(message)
            if ready:
                return
            check()
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"{self.name} is not ready after {timeout:g} s.\n{self.tail()}")
            time.sleep(0.02)

    def run(self, timeout: float = 60, check: Callable[[], None] = _go_on) -> None:
        """Run a command that ends by itself; raise ServerError unless it ends with 0 in time."""
        self.launch()
        deadline = time.monotonic() + timeout
        try:
            while self.is_running:
                check()
                if time.monotonic() > deadline:
                    raise ServerError(f"{self.name} takes over {timeout:g} s.\n{self.tail()}")
                time.sleep(0.02)
        finally:
            self.kill()
        if self.exit_code:
            raise ServerError(self.explain(self.exit_code))

    def start(self) -> Self:
        """Launch and wait until ready."""
        self.launch()
        self.wait_ready()
        return self

    def stop(self, timeout: float = 15) -> None:
        """End it with SIGTERM, with SIGKILL after the timeout in seconds."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End it and what it started with SIGKILL."""
        if self._popen is None or self._is_buried:
            return
        # Its session is its own, so the group takes grandchildren along. All gone is what we want;
        # some systems say EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._pid_file.release()
        # By the next call the number may belong to someone else.
        self._is_buried = True

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 64 * 1024))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
