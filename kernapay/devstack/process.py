"""Child processes that end with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from kernapay.devstack import parent_death_signal
from kernapay.devstack.pidfile import InUse, PidFile

MAX_LOG = 16 * 1024 * 1024

# Linux: the parent death signal is sent when the thread that forked the child ends. So fork every child in one thread
# that lives as long as the process.
_forks = ThreadPoolExecutor(1, thread_name_prefix="forks")


def _no_check() -> None:
    """Do nothing: the default check of a wait."""


class ServerError(RuntimeError):
    """A server did not start, or cannot be used."""


class Child(Protocol):
    """A started child: `subprocess.Popen`, as far as it is used here."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...


class Process:
    """A command in its own session. Its log and its pid file are in its home directory."""

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
        self.env = env
        self._ready = ready
        # Linux: the kernel sends this signal to the child when the parent dies.
        self.death_signal = death_signal
        self._pid_file = PidFile(home / f"{name}.pid")
        self._popen: Child | None = None
        self._is_reaped = False
        self._log_start = 0

    def command(self) -> Sequence[str]:
        return self._command

    def environment(self) -> Mapping[str, str] | None:
        """Return the variables of the child. None stands for those of this process."""
        return self.env

    def ready(self) -> bool:
        """Return whether it is ready for use."""
        return self._ready()

    def explain(self, exit_code: int) -> str:
        """Return a message for an exit before it was ready."""
        return f"{self.name} ended with exit code {exit_code}. Last lines of {self.log}:\n{self.tail()}"

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._popen.poll() if self._popen is not None else None

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def launch(self) -> None:
        """Start without waiting. Raises ServerError if another process uses the home directory."""
        if self.is_running:
            raise ServerError(f"{self.name} is running already.")
        self.home.mkdir(parents=True, exist_ok=True)
        self._pid_file.release()
        try:
            self._pid_file.acquire()
        except InUse:
            raise ServerError(f"{self.home} is in use by another running {self.name}.") from None
        self._pid_file.kill_stale()
        if self.log.exists() and self.log.stat().st_size > MAX_LOG:
            self.log.unlink()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._popen = self.start_child(self.command())
        self._is_reaped = False
        self._pid_file.write(self._popen.pid, self.command())

    def start_child(self, command: Sequence[str]) -> Child:
        """Start the command in a session of its own, with its output in the log."""
        if sys.platform == "linux":
            # -I -S: ignore the environment and site-packages, so that it starts fast.
            script = [sys.executable, "-I", "-S", str(parent_death_signal.__file__)]
            command = [*script, str(os.getpid()), str(int(self.death_signal)), *command]
        with self.log.open("ab") as log:
            return _forks.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                start_new_session=True,
            ).result()

    def wait_ready(self, timeout: float = 30, check: Callable[[], None] = _no_check) -> None:
        """Wait until it is ready. Raises ServerError if it ends first, or is not ready after `timeout` seconds.

        `check` is called while waiting. An error that it raises ends the wait.
        """
        deadline = time.monotonic() + timeout
        pause = 0.01
        while True:
            # Read the exit code after the readiness: another server on our port may have answered.
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
            # To ask a server that is starting takes its processor time, and ours.
            pause = min(1.2 * pause, 0.1)
            time.sleep(pause)

    def run(self, timeout: float = 60, check: Callable[[], None] = _no_check) -> None:
        """Run a command to its end. Raises ServerError unless it ends with 0 within `timeout` seconds."""
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
        """End it with SIGTERM, and with SIGKILL after `timeout` seconds."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End its process group with SIGKILL."""
        if self._popen is None or self._is_reaped:
            return
        # The group contains its children too. ESRCH means that all have ended; some systems answer EPERM for zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._pid_file.release()
        # From now on another process may get this pid.
        self._is_reaped = True

    def tail(self, lines: int = 15) -> str:
        """Return the last lines that the last launch wrote to the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - 64 * 1024))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def log_lines(self) -> Iterator[str]:
        """Yield the lines that the last launch wrote to the log."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            for line in log:
                yield line.decode(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
