"""HTTP under one deadline for a whole call: connection, headers and body.

urllib3 and botocore limit each read only, so an answer that comes byte by byte would keep its thread without end. Here
every read gets the time that is left. Only the resolution of a host name cannot be cut short.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from io import BufferedReader, RawIOBase
from time import monotonic
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout

_CONNECT_SECONDS: Final = 3.0
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
        """End the call now, from any thread: what it reads ends."""
        self._ends_at = monotonic()
        if self._socket is not None:
            _shut(self._socket)

    def watch(self, used: socket.socket) -> float:
        """Note the socket that the call uses. Return the seconds that its next operation may take."""
        self._socket = used
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


class _Reader(RawIOBase):
    """Read from a socket after calling `bound`, which limits the time of each read."""

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

    def makefile(self, mode: str) -> BufferedReader:
        del mode  # http.client reads only
        return BufferedReader(_Reader(self._wrapped.makefile("rb", buffering=0), self._bound))

    def _bound(self) -> None:
        self._wrapped.settimeout(_held().watch(self._wrapped))


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _BoundSocket(self.sock)


class _TLSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _BoundSocket(self.sock)


class _ConnectionPool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class BoundPool(urllib3.PoolManager):
    """Connections whose calls end at the deadline that their thread holds. They follow no redirect, repeat nothing."""

    def __init__(self, connections: int) -> None:
        super().__init__(maxsize=connections, block=False, retries=False)
        self.pool_classes_by_scheme = {"http": _ConnectionPool, "https": _TLSConnectionPool}

    def send(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response with its whole body. Raises urllib3's HTTPError.

        The thread must hold a deadline.
        """
        remaining = max(_SHORTEST, _held().remaining)
        timeout = Timeout(connect=min(_CONNECT_SECONDS, remaining), total=remaining)
        return self.request(method, url, redirect=False, timeout=timeout, **options)


def _held() -> Deadline:
    deadline = _current.get()
    if deadline is None:
        raise RuntimeError("A call without a deadline could keep its thread for ever.")
    return deadline
