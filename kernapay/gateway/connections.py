"""Requests and answers as bytes, over the connections of aiohttp's pool.

aiohttp's own client prepares each request for redirects, cookies, proxies and uploads, of which the gateway needs none.
That costs several times as much as to send the request. Its pool and its parser do the work here too.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=3.0)
# Shorter than those of common load balancers, which would close a connection while a request is on its way.
_KEEP_SECONDS: Final = 30.0


class Request(NamedTuple):
    """A request to send. Whether it changes something decides if it may be sent again."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None

    @property
    def is_change(self) -> bool:
        return self.method != "GET"


class Answer(NamedTuple):
    status: int
    body: bytes


class Connections:
    """Use it on one event loop."""

    def __init__(self, limit: int) -> None:
        self._connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=_KEEP_SECONDS)
        self._loop = asyncio.get_running_loop()
        # What the pool has to know to open a connection to a host.
        self._hosts: dict[str, aiohttp.ClientRequest] = {}

    async def exchange(self, request: Request) -> Answer:
        """Send a request and return the whole answer. Raises aiohttp.ClientError, ValueError, OSError.

        A change is sent once. What only asks is sent again if a connection that was kept proves to be closed.
        """
        origin, target = _split(request.url)
        message = _encode(request, origin.partition("://")[2], target)
        may_repeat = not request.is_change
        while True:
            connection = await self._connect(origin)
            try:
                answer = await _exchange(connection, message)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                connection.close()
                if not may_repeat:
                    raise
                may_repeat = False
            except BaseException:
                connection.close()
                raise
            else:
                connection.release()
                return answer

    async def close(self) -> None:
        await self._connector.close()

    async def _connect(self, origin: str) -> Connection:
        host = self._hosts.get(origin)
        if host is None:
            host = aiohttp.ClientRequest("GET", URL(origin), loop=self._loop)
            self._hosts[origin] = host
        while True:
            connection = await self._connector.connect(host, [], _TIMEOUT)
            if not _protocol_of(connection).should_close:
                return connection
            # Something came over it unasked, which would be taken for the next answer.
            connection.close()


async def _exchange(connection: Connection, message: bytes) -> Answer:
    protocol = _protocol_of(connection)
    if protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    protocol.transport.write(message)
    try:
        while True:
            head, content = await protocol.read()
            if head.code >= 200:
                return Answer(head.code, await content.read())
    except HttpProcessingError as error:
        raise aiohttp.ClientPayloadError("The answer is not HTTP.") from error


def _protocol_of(connection: Connection) -> ResponseHandler:
    if connection.protocol is None:
        raise aiohttp.ServerDisconnectedError
    return connection.protocol


def _split(url: str) -> tuple[str, str]:
    """Return the scheme with the host, and the path with the query."""
    start = url.index("/", url.index("://") + 3)
    return url[:start], url[start:]


def _encode(request: Request, host: str, target: str) -> bytes:
    body = (request.body or "").encode()
    headers = {"Host": host, "Accept": "*/*", **request.headers}
    if request.is_change:
        headers["Content-Length"] = str(len(body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("A line of the request's head must not contain a line break.")
    return "\r\n".join((*lines, "\r\n")).encode() + body
