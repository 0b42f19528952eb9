"""HTTP under one deadline for a whole call: connection, headers and body.

urllib3 limits each read only, so an answer that comes byte by byte would keep its thread without end. Here every read
gets the time that is left. Only the resolution of a host name cannot be cut short.
"""

import socket
from collections.abc import Callable
from io import BufferedReader, RawIOBase
from typing import Any

from kernapay.core.deadlines import held_deadline


class _Reader(RawIOBase):
    """Read from a socket. Before each read, `bound` sets the socket's timeout."""

    def __init__(self, raw: socket.SocketIO, bound: Callable[[], None]) -> None:
        self._raw = raw
        self._bound = bound

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._bound()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundSocket:
    """A connected socket whose operations end at the deadline of the call that uses it."""

    def __init__(self, wrapped: socket.socket) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def sendall(self, data: Any) -> None:
        self._bound()
        self._wrapped.sendall(data)

    def makefile(self, mode: str, buffering: int | None = None) -> Any:
        del mode  # these clients write with `sendall`
        reader = _Reader(self._wrapped.makefile("rb", buffering=0), self._bound)
        return reader if buffering == 0 else BufferedReader(reader)

    def _bound(self) -> None:
        self._wrapped.settimeout(held_deadline().watch(self._wrapped))


class BoundConnection:
    """Put this before a class of connections among its bases."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = _BoundSocket(self.sock)
