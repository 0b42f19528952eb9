"""The pid of a child on disk, locked while the parent lives."""

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
    """Another living process holds the lock."""


class PidFile:
    """A lock on a file that names a process, so that only a true orphan is ever swept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock; raise InUse when another living process holds it."""
        file = self.path.open("a+")
        try:
            # The lock goes away with the process that holds it, even after a kill -9.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InUse(f"{self.path} is locked by a running process.") from None
        self._file = file

    def sweep(self) -> None:
        """Kill the process that the last holder of the lock left behind, if it still runs."""
        try:
            orphan = json.loads(self.path.read_text())
            pid, command = int(orphan["pid"]), list(orphan["command"])
        except (ValueError, KeyError, TypeError):
            return  # empty after an orderly end, or cut short by a crash
        deadline = time.monotonic() + 10
        while _runs(pid, command):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Process {pid} does not die.")
            # It leads a group of its own: what it started goes too.
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.05)

    def write(self, pid: int, command: Sequence[str]) -> None:
        """Note who is to be swept if the holder dies, told from later namesakes by its command."""
        if self._file is None:
            raise ValueError("write() before acquire()")
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
    # A child that was tethered a moment ago has the tether before its command.
    return line[-len(command) :] == command


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process; empty when it is gone or a zombie."""
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
