"""An HTTP/1.1 client for requests that are prepared as bytes. It prepares the rows, and plays the load without wrk."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Final, NamedTuple, Self

HOST: Final = "127.0.0.1"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Answer(NamedTuple):
    status: int
    body: bytes


def raw_request(
    method: str,
    path: str,
    port: int,
    *,
    token: str | None = None,
    body: bytes = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{port}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._writer.close()

    @property
    def has_ended(self) -> bool:
        """Whether the server has closed it."""
        return self._reader.at_eof()

    async def send(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises OSError and EOFError when the connection breaks."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if length := _LENGTH.search(head):
            body = await self._reader.readexactly(int(length[1]))
        else:
            body = await self._read_chunks() if _CHUNKED.search(head) else b""
        return Answer(int(head[9:12]), body)

    async def _read_chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return body


def send_all(port: int, requests: Sequence[bytes], connections: int = 32) -> list[Answer]:
    """Send each request once, over several connections. Return the answers in the order of the requests."""
    return asyncio.run(send_over(port, requests, connections))


async def send_over(port: int, requests: Sequence[bytes], connections: int) -> list[Answer]:
    """Do as `send_all`, on the running event loop."""
    answers: dict[int, Answer] = {}
    numbers = iter(range(len(requests)))

    async def work() -> None:
        async with Connection(port) as connection:
            for number in numbers:
                answers[number] = await connection.send(requests[number])

    async with asyncio.TaskGroup() as group:
        for _ in range(min(connections, len(requests))):
            group.create_task(work())
    return [answers[number] for number in range(len(requests))]
