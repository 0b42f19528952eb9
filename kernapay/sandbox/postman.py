"""POST over HTTP/1.1, on connections that are kept."""

import asyncio
import ssl
from collections import defaultdict
from typing import Final, NamedTuple
from urllib.parse import urlsplit

KEPT_BODY: Final = 2_000


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


class DeliveryError(Exception):
    """No answer, or none that can be read."""


class Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Postman:
    """Deliver a body and read the answer, of its body no more than the log keeps.

    Written out, since one paid order makes three deliveries and a load test thousands of orders:
    httpx spends some 2 ms of CPU on each, this a thirtieth of that.
    """

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Raise DeliveryError if no answer came; wait for one without end."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        place = (parts.scheme, parts.hostname or "", port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.rpartition("@")[2]
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            connection = await self._connection(*place)
            try:
                connection.writer.write(message)
                answer, reusable = await read_answer(connection.reader)
            except BaseException:
                connection.writer.close()
                raise
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as problem:
            raise DeliveryError(f"{type(problem).__name__}: {problem}") from None
        if reusable:
            self._idle[place].append(connection)
        else:
            connection.writer.close()
        return answer

    async def _connection(self, scheme: str, host: str, port: int) -> Connection:
        idle = self._idle[scheme, host, port]
        while idle:
            connection = idle.pop()
            if not (connection.reader.at_eof() or connection.writer.is_closing()):
                return connection
            connection.writer.close()
        if scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        tls = self._tls if scheme == "https" else None
        return Connection(*await asyncio.open_connection(host, port, ssl=tls))


async def read_answer(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """Return the answer, and whether another request may follow on the connection."""
    status = 100
    while 100 <= status < 200:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"not an HTTP answer: {first[:60]!r}")
        status = int(rest[:3])
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = headers.get("content-length", "")
    if status == 204 or length == "0":
        body, whole = b"", True
    elif length.isdecimal() and int(length) <= KEPT_BODY:
        body, whole = await reader.readexactly(int(length)), True
    else:  # chunked, long or without end: a piece for the log will do
        body, whole = await reader.read(KEPT_BODY), False
    keeps = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Answer(status, headers, body.decode(errors="replace")), whole and keeps
