"""Connections to strangers are kept for a moment, for the same URL only, and nothing is lost with one that ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kernapay.config.allowed_hosts import read_allowed_host
from kernapay.deliveries.addresses import AddressRules, Target
from kernapay.deliveries.transport import NoAnswer, Transport
from tests.deliveries.names import resolving

pytestmark = [pytest.mark.anyio, pytest.mark.owasp(line="API7")]

RULES = AddressRules((443,), (read_allowed_host("127.0.0.1"), read_allowed_host("hooks.test")))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
Reply = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


async def answer(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


class Server:
    """A server in the loop of the test. `reply` gets the place of the request on its connection, from 0."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[tuple[int, str]] = []
        """The connection, from 1, and the path of each."""
        self.ended: list[int] = []
        """Which connections the client has closed."""
        self.more = asyncio.Condition()
        self.port = 0
        self._reply = reply
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection, place = self._connections, 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.requests.append((connection, head.split(b" ")[1].decode()))
                await self._reply(place, writer)
                place += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            async with self.more:
                self.ended.append(connection)
                self.more.notify_all()
        finally:
            writer.close()

    def target(self, path: str = "/hook", host: str = "127.0.0.1") -> Target:
        return RULES.read(f"http://{host}:{self.port}{path}", may_be_internal=True)


@asynccontextmanager
async def serving(reply: Reply = answer, **options: Any) -> AsyncIterator[tuple[Server, Transport]]:
    server = Server(reply)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    transport = Transport(**{"connections": 50, "seconds": 5.0, **options})
    try:
        yield server, transport
    finally:
        await transport.close()
        listener.close()


async def test_the_next_event_goes_over_the_same_connection() -> None:
    async with serving() as (server, transport):
        for _ in range(4):
            assert (await transport.post(server.target(), {}, b"{}")).excerpt == b"ok"
    assert server.requests == [(1, "/hook")] * 4


async def test_an_answer_without_a_body_lets_the_connection_be_kept() -> None:
    async def reply(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(reply) as (server, transport):
        for _ in range(3):
            assert (await transport.post(server.target(), {}, b"{}")).code == 204
    assert server.requests == [(1, "/hook")] * 3


async def test_another_url_of_the_same_host_gets_a_connection_of_its_own() -> None:
    """What one shop's path sends too much is not taken for the answer of another shop's."""
    async with serving() as (server, transport):
        for path in ("/a", "/b", "/a", "/b"):
            await transport.post(server.target(path), {}, b"{}")
    assert server.requests == [(1, "/a"), (2, "/b"), (1, "/a"), (2, "/b")]


async def test_a_connection_to_an_allowed_host_is_not_used_where_it_is_not_allowed() -> None:
    async with serving() as (server, transport):
        allowed = server.target()
        await transport.post(allowed, {}, b"{}")
        with pytest.raises(NoAnswer, match="private network"):
            await transport.post(allowed._replace(is_allowed=False), {}, b"{}")
    assert server.requests == [(1, "/hook")]


async def test_a_connection_that_is_not_used_is_closed() -> None:
    async with serving() as (server, transport):
        await transport.post(server.target(), {}, b"{}")
        async with asyncio.timeout(20), server.more:
            await server.more.wait_for(lambda: server.ended == [1])


@pytest.mark.parametrize(("longest", "lookups"), [(20.0, 1), (0.0, 3)])
async def test_a_name_is_looked_up_again_when_its_connection_is_old(
    longest: float, lookups: int
) -> None:
    resolve, asked = resolving("127.0.0.1")
    async with serving(resolve=resolve, longest=longest) as (server, transport):
        for _ in range(3):
            assert (await transport.post(server.target(host="hooks.test"), {}, b"{}")).code == 200
    assert asked == ["hooks.test"] * lookups
    assert [connection for connection, _ in server.requests] == sorted(
        min(each, lookups) for each in (1, 2, 3)
    )


async def test_an_event_that_meets_the_end_of_a_kept_connection_is_sent_again_at_once() -> None:
    async def reply(place: int, writer: asyncio.StreamWriter) -> None:
        if place == 0:
            writer.write(OK)
        else:
            writer.close()

    async with serving(reply) as (server, transport):
        for _ in range(3):
            assert (await transport.post(server.target(), {}, b"{}")).code == 200
    assert [connection for connection, _ in server.requests] == [1, 1, 2, 2, 3]


async def test_an_endpoint_that_closes_new_connections_too_gets_an_event_no_third_time() -> None:
    served = 0

    async def reply(_: int, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        if served == 1:
            writer.write(OK)
        else:
            writer.close()

    async with serving(reply) as (server, transport):
        await transport.post(server.target(), {}, b"{}")
        with pytest.raises(NoAnswer, match="closed without an answer"):
            await transport.post(server.target(), {}, b"{}")
    assert [connection for connection, _ in server.requests] == [1, 1, 2]


async def test_what_comes_unasked_is_not_the_answer_to_the_next_event() -> None:
    said = asyncio.Event()

    async def reply(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await more.wait()
        writer.write(GONE)
        said.set()

    more = asyncio.Event()
    async with serving(reply) as (server, transport):
        assert (await transport.post(server.target(), {}, b"{}")).code == 200
        more.set()
        await said.wait()
        # What was written within this process is read in the loop's next turn.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await transport.post(server.target(), {}, b"{}")).code == 200
    assert [connection for connection, _ in server.requests] == [1, 2]
