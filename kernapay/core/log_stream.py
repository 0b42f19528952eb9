"""The stream that log lines go to. A line that cannot be written is counted, and raises no error."""

import os
from threading import Lock
from typing import IO, Final, Protocol

import msgspec

from kernapay.core.clock import now


class _Raw(Protocol):
    def write(self, data: bytes, /) -> int | None: ...


class LogStream:
    """Write whole lines without a buffer. Lines that cannot be written are dropped and counted.

    The next line that can be written is preceded by one that says how many are missing.
    """

    def __init__(self, text: IO[str]) -> None:
        buffer = text.buffer  # type: ignore[attr-defined]
        # Not through the buffer: after a full disk it would keep the refused bytes, and every later line would fail.
        self._raw: _Raw = getattr(buffer, "raw", buffer)
        self._lock = Lock()
        self._lost = 0
        self._is_torn = False
        os.register_at_fork(after_in_child=self._renew_lock)

    def write(self, lines: bytes) -> int:
        """Write one line or several, each of which ends with a newline."""
        with self._lock:
            if self._lost or self._is_torn:
                lead = b"\n" if self._is_torn else b""
                if self._write(lead + _describe_loss(self._lost)):
                    self._lost += lines.count(b"\n")
                    return len(lines)
                self._lost = 0
            self._lost += self._write(lines)
        return len(lines)

    def flush(self) -> None:
        """Do nothing: no line waits in a buffer."""

    def _write(self, lines: bytes) -> int:
        """Return how many lines are missing or cut."""
        rest = memoryview(lines)
        while rest:
            try:
                written = self._raw.write(rest)  # type: ignore[arg-type]
            except (OSError, ValueError):  # full, broken, or closed
                written = None
            if not written:
                done = len(lines) - len(rest)
                if done:
                    self._is_torn = not lines[:done].endswith(b"\n")
                return bytes(rest).count(b"\n")
            rest = rest[written:]
        self._is_torn = False
        return 0

    def _renew_lock(self) -> None:
        self._lock = Lock()


_LOST: Final = "log_lines_lost"


def _describe_loss(lines: int) -> bytes:
    line = {"event": _LOST, "lines": lines, "level": "warning", "time": now().isoformat()}
    return msgspec.json.encode(line) + b"\n"
