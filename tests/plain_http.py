"""HTTP without TLS, as the tests speak it."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from select import select
from threading import Lock
from typing import Final, NamedTuple

import httpx

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify` of httpx: it would read all certificates of the machine for each client, which takes 60 ms."""
_LONGEST_LINE: Final = 1 << 20


class Head(NamedTuple):
    """The first lines of an answer."""

    version: bytes
    status: int
    headers: list[tuple[bytes, bytes]]

    def get(self, name: bytes) -> bytes:
        """Return the value of the last header of that name, in lower case; nothing if there is none."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name), b"")

    @property
    def closes(self) -> bool:
        return self.version != b"HTTP/1.1" or self.get(b"connection").lower() == b"close"


class BrokenAnswer(Exception):
    """The server hung up, or said what is no HTTP."""


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed a connection between two requests."""
    if not select([connection], [], [], 0)[0]:
        return False
    try:
        # Bytes that nobody asked for stay there: the next answer must show them.
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def read_head(reader: BufferedReader) -> Head:
    """Read the head of the final answer. Raises BrokenAnswer, and OSError."""
    while True:
        version, status, *_ = [*_line(reader).split(b" ", 2), b"", b""]
        if not version.startswith(b"HTTP/1.") or not status.isdigit():
            raise BrokenAnswer(f"no answer in HTTP: {version[:40]!r}")
        headers = []
        while line := _line(reader):
            name, _, value = line.partition(b":")
            headers.append((name, value.strip()))
        if int(status) >= 200 or int(status) == 101:
            return Head(version, int(status), headers)


def _line(reader: BufferedReader) -> bytes:
    line = reader.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise BrokenAnswer("the server hung up")
    return line.rstrip(b"\r\n")


def read_body(reader: BufferedReader, head: Head, method: str) -> Iterator[bytes]:
    """Yield the body as it arrives. Raises BrokenAnswer if its end is missing, and OSError."""
    if method == "HEAD" or head.status in (204, 304):
        return
    if head.get(b"transfer-encoding").lower() == b"chunked":
        while size := int(_line(reader).partition(b";")[0], 16):
            yield _exactly(reader, size)
            _line(reader)
        while _line(reader):
            pass  # trailers
    elif length := head.get(b"content-length"):
        if int(length):
            yield _exactly(reader, int(length))
    else:
        while part := reader.read1(1 << 16):
            yield part


def _exactly(reader: BufferedReader, size: int) -> bytes:
    body = reader.read(size)
    if len(body) < size:
        raise BrokenAnswer(f"{size - len(body)} bytes of the body are missing")
    return body


class _Connection:
    def __init__(self, address: tuple[str, int], timeout: float | None) -> None:
        self.address = address
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def close(self) -> None:
        self.reader.close()
        self.socket.close()


class _Body(httpx.SyncByteStream):
    """A body that is read as it arrives; its connection is kept for the next request if it was read to its end."""

    def __init__(
        self, transport: "PlainTransport", connection: _Connection, head: Head, method: str
    ) -> None:
        self._transport = transport
        self._connection: _Connection | None = connection
        self._parts = read_body(connection.reader, head, method)
        self._is_kept = not head.closes
        self._has_ended = False

    def __iter__(self) -> Iterator[bytes]:
        with _ErrorsOfHttpx():
            yield from self._parts
        self._has_ended = True
        self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.give_back(connection, is_kept=self._is_kept and self._has_ended)


class _ErrorsOfHttpx:
    """Raise what httpx's own transport would raise."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, TimeoutError):
            raise httpx.ReadTimeout("timed out") from error
        if isinstance(error, OSError):
            raise httpx.ReadError(str(error)) from error
        if isinstance(error, BrokenAnswer | ValueError):
            raise httpx.RemoteProtocolError(str(error)) from error


def _send(connection: socket.socket, request: httpx.Request) -> None:
    waiting = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
    waiting += b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw) + b"\r\n"
    is_chunked = request.headers.get("transfer-encoding") == "chunked"
    assert isinstance(request.stream, httpx.SyncByteStream)
    for part in request.stream:
        if part:
            # The head goes out with the first piece of the body.
            connection.sendall(
                waiting + (b"%x\r\n%s\r\n" % (len(part), part) if is_chunked else part)
            )
            waiting = b""
    if is_chunked:
        waiting += b"0\r\n\r\n"
    if waiting:
        connection.sendall(waiting)


class PlainTransport(httpx.BaseTransport):
    """HTTP/1.1 on kept connections. httpx's own transport takes several times the processor time for each request."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[_Connection]] = {}
        self._lock = Lock()
        self._is_closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        timeouts = request.extensions.get("timeout", {})
        address = (request.url.host, request.url.port or 80)
        connection = self._take(address, timeouts.get("connect"))
        try:
            connection.socket.settimeout(timeouts.get("read"))
            with _ErrorsOfHttpx():
                with suppress(BrokenPipeError, ConnectionResetError):
                    # Refused before it was read to its end; the answer may be there.
                    _send(connection.socket, request)
                head = read_head(connection.reader)
        except BaseException:
            connection.close()
            raise
        body = _Body(self, connection, head, request.method)
        return httpx.Response(head.status, headers=head.headers, stream=body)

    def _take(self, address: tuple[str, int], timeout: float | None) -> _Connection:
        while True:
            with self._lock:
                idle = self._idle.get(address)
                connection = idle.pop() if idle else None
            if connection is None:
                break
            if not is_closed(connection.socket):
                return connection
            connection.close()
        try:
            return _Connection(address, timeout)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("timed out") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    def give_back(self, connection: _Connection, *, is_kept: bool) -> None:
        with self._lock:
            is_kept = is_kept and not self._is_closed
            if is_kept:
                self._idle.setdefault(connection.address, []).append(connection)
        if not is_kept:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            idle = [each for found in self._idle.values() for each in found]
            self._idle.clear()
        for connection in idle:
            connection.close()
