"""Deadlines for calls to other services. The thread that makes a call holds its deadline."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from time import monotonic
from typing import Final

# A socket with a timeout of 0 would not block at all.
_SHORTEST: Final = 0.001
_current: ContextVar["Deadline | None"] = ContextVar("deadline", default=None)


class Deadline:
    """The end of one call, and the socket that the call uses."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = monotonic() + seconds
        self._socket: socket.socket | None = None

    @property
    def remaining(self) -> float:
        """Return the seconds that are left, 0 when none are."""
        return max(0.0, self._ends_at - monotonic())

    def cut(self) -> None:
        """End the call now, from any thread: its socket is shut down."""
        self._ends_at = monotonic()
        if self._socket is not None:
            _shut(self._socket)

    def watch(self, used: socket.socket) -> float:
        """Remember the call's socket. Return how many seconds its next operation may take."""
        self._socket = used
        return self.timeout()

    def timeout(self) -> float:
        """Return the timeout of the next operation, in seconds. Raises TimeoutError at the end."""
        remaining = self.remaining
        if not remaining:
            raise TimeoutError("The deadline of the call has passed.")
        return max(_SHORTEST, remaining)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold every connection that this thread uses in the block to this deadline."""
        token = _current.set(self)
        try:
            yield
        finally:
            self._socket = None
            _current.reset(token)


def _shut(used: socket.socket) -> None:
    # The method of the plain socket: that of a TLS socket would take the session from the thread that reads.
    with suppress(OSError):  # closed already
        socket.socket.shutdown(used, socket.SHUT_RDWR)


def held_deadline() -> Deadline:
    """Return the deadline that this thread holds."""
    deadline = _current.get()
    if deadline is None:
        raise RuntimeError("A call without a deadline could keep its thread for ever.")
    return deadline
