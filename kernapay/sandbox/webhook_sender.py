"""Send webhooks by HTTP/1.1, on connections that are kept open."""

import asyncio
import ssl
from collections import defaultdict
from typing import Final, NamedTuple
from urllib.parse import urlsplit

# Bytes of a response that the delivery log keeps.
MAX_RESPONSE_BODY: Final = 2_000


class WebhookResponse(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


class SendError(Exception):
    """The endpoint sent no response, or none that is HTTP."""


class Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class WebhookSender:
    """A small HTTP client with a pool of idle connections.

    An order that is paid makes three deliveries, and a load test pays thousands of orders. For one
    request httpx takes some 2 ms of CPU, this class a thirtieth of that.
    """

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookResponse:
        """Return the response. Raise SendError if there is none; the caller sets a time limit."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        origin = (parts.scheme, parts.hostname or "", port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.rpartition("@")[2]
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            connection = await self._connect(*origin)
            try:
                connection.writer.write(message)
                response, reusable = await read_response(connection.reader)
            except BaseException:
                connection.writer.close()
                raise
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise SendError(f"{type(error).__name__}: {error}") from None
        if reusable:
            self._idle[origin].append(connection)
        else:
            connection.writer.close()
        return response

    async def _connect(self, scheme: str, host: str, port: int) -> Connection:
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


async def read_response(reader: asyncio.StreamReader) -> tuple[WebhookResponse, bool]:
    """Return the response, and whether the connection can carry another request."""
    status = 100
    while 100 <= status < 200:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip().split("\r\n")
        version, _, rest = status_line.partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"not an HTTP response: {status_line[:60]!r}")
        status = int(rest[:3])
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = headers.get("content-length", "")
    if status == 204 or length == "0":
        body, is_complete = b"", True
    elif length.isdecimal() and int(length) <= MAX_RESPONSE_BODY:
        body, is_complete = await reader.readexactly(int(length)), True
    else:  # chunked, long or of unknown length: its beginning is enough for the log
        body, is_complete = await reader.read(MAX_RESPONSE_BODY), False
    keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    response = WebhookResponse(status, headers, body.decode(errors="replace"))
    return response, is_complete and keep_alive
