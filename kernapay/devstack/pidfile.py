"""The pid of a child on disk, locked while the parent lives."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO


class InUse(RuntimeError):
    """Another living process holds the lock."""


class PidFile:
    """Hold a lock on a file that names a child, so that only a true orphan is ever swept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self, *signature: str) -> None:
        """Lock the file and kill the orphan it names, if its command line holds the signature.

        Raises InUse when a living process holds the lock.
        """
        file = self.path.open("a+")
        try:
            # The lock goes away with the process that holds it, even after a kill -9.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InUse(f"{self.path} is locked by a running process.") from None
        self._file = file
        file.seek(0)
        text = file.read().strip()
        if text.isdigit():
            sweep(int(text), *signature)

    def write(self, pid: int) -> None:
        assert self._file is not None  # noqa: S101
        self._file.truncate(0)
        self._file.write(f"{pid}\n")
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def sweep(pid: int, *signature: str) -> None:
    """Kill the process and wait until it is gone, unless the pid belongs to something else."""

    def is_ours() -> bool:
        line = command_line(pid)
        return bool(line) and all(part in line for part in signature)

    deadline = time.monotonic() + 10
    while is_ours():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Process {pid} does not die.")
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


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
