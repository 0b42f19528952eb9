"""Pid files of child processes, locked while the parent lives."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO


class InUse(RuntimeError):
    """Another running process holds the lock."""


class PidFile:
    """A lock file with the pid of a child. If its parent was killed, the next parent finds and kills the child."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock. Raises InUse if another running process holds it."""
        file = self.path.open("a+")
        try:
            # The kernel releases the lock when its holder ends, even after a kill -9.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InUse(f"{self.path} is locked by a running process.") from None
        self._file = file

    def kill_stale(self) -> None:
        """Kill the child that the last holder of the lock left running, with its process group.

        Raises TimeoutError if it still runs after ten seconds.
        """
        try:
            entry = json.loads(self.path.read_text())
            pid, command = int(entry["pid"]), list(entry["command"])
        except (ValueError, KeyError, TypeError):
            return  # empty after an orderly end, or truncated by a crash
        deadline = time.monotonic() + 10
        while _runs(pid, command):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Process {pid} does not end. Fix: kill -9 {pid}")
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.05)

    def write(self, pid: int, command: Sequence[str]) -> None:
        """Record the child, with its command: a later process with the same pid has another one."""
        if self._file is None:
            raise ValueError("Call acquire() before write().")
        self._file.truncate(0)
        json.dump({"pid": pid, "command": list(command)}, self._file)
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def _runs(pid: int, command: list[str]) -> bool:
    line = command_line(pid)
    if sys.platform != "linux":
        return line == " ".join(command).split()
    # Right after its start, the command of a child is preceded by parent_death_signal.py.
    return line[-len(command) :] == command


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process. Empty if it has ended or is a zombie."""
    if sys.platform == "linux":
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return os.fsdecode(raw).split("\0")[:-1]
    listing = subprocess.run(  # noqa: S603
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return listing.stdout.split()
