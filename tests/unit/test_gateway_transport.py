"""What goes to the gateway, and what of its answers is followed, believed or asked for again."""

import asyncio
import gzip
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from kernapay.core.slots import Slots
from kernapay.devstack.ports import HOST
from kernapay.gateway.base import GatewayError, GatewayUnknown, Order
from kernapay.gateway.connections import Connections, Request
from kernapay.gateway.razorpay import RazorpayGateway
from tests.certificates import certificate
from tests.http_server import HttpServer, Response

pytestmark = pytest.mark.anyio
ORDER = {"id": "order_1", "amount": 100, "currency": "INR", "status": "created", "receipt": "KP_1"}
ANSWER = Response(200, json.dumps(ORDER).encode(), {"Content-Type": "application/json"})
Ask = Callable[[RazorpayGateway], Awaitable[Order]]


async def look(gateway: RazorpayGateway) -> Order:
    return await gateway.fetch_order("order_1")


async def buy(gateway: RazorpayGateway) -> Order:
    return await gateway.create_order(
        amount=100, currency="INR", receipt="KP_1", notes={"for": "ñ"}
    )


@asynccontextmanager
async def gateway_at(url: str) -> AsyncIterator[RazorpayGateway]:
    slots = Slots("gateway", 2)
    gateway = RazorpayGateway("rzp_test_a", "secret", base_url=url, timeout=20, slots=slots)
    try:
        yield gateway
    finally:
        await gateway.close()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(ANSWER) as server:
        yield server


async def test_the_sdks_request_is_sent_as_it_would_send_it(server: HttpServer) -> None:
    async with gateway_at(server.url) as gateway:
        assert (await buy(gateway)).id == "order_1"
    (sent,) = server.requests
    assert (sent.method, sent.path) == ("POST", "/v1/orders")
    assert sent.headers["authorization"] == f"Basic {b64encode(b'rzp_test_a:secret').decode()}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"].startswith("Razorpay-Python/")
    body = json.loads(sent.body)
    assert (body["amount"], body["receipt"], body["notes"]) == (100, "KP_1", {"for": "ñ"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("ask", [look, buy])
async def test_a_redirect_is_followed_nowhere(ask: Ask, status: int, server: HttpServer) -> None:
    with HttpServer(ANSWER) as elsewhere:
        server.response = Response(status, b"", {"Location": f"{elsewhere.url}/v1/orders"})
        async with gateway_at(server.url) as gateway:
            with pytest.raises(GatewayUnknown):
                await ask(gateway)
        assert (len(server.requests), elsewhere.requests) == (1, [])


async def test_a_compressed_answer_is_not_unpacked(server: HttpServer) -> None:
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    server.response = Response(200, gzip.compress(ANSWER.body), packed)
    async with gateway_at(server.url) as gateway:
        with pytest.raises(GatewayUnknown):
            await look(gateway)
    assert server.requests[0].headers["accept-encoding"] == "identity"


class Listener:
    """Answers the first request of each connection, and closes the connection at the second."""

    def __init__(self) -> None:
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answers in (True, False):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break  # the client has gone
            lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
            await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
            self.requests += 1
            if answers:
                length = len(ANSWER.body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
                writer.write(ANSWER.body)
        writer.close()


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Listener, int]]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, HOST, 0, ssl=context)
    async with server:
        yield listener, server.sockets[0].getsockname()[1]


async def test_over_a_connection_that_proves_closed_a_change_is_sent_once() -> None:
    """Whether it was made is not known. What only asks may be sent again."""
    async with listening() as (listener, port), gateway_at(f"http://{HOST}:{port}") as gateway:
        await look(gateway)
        with pytest.raises(GatewayUnknown):
            await buy(gateway)
        assert listener.requests == 2
        await look(gateway)
        assert (await look(gateway)).id == "order_1"
        assert listener.requests == 5


async def test_a_certificate_that_nobody_vouches_for_gets_no_request(tmp_path: Path) -> None:
    context = certificate(tmp_path, "gateway.example", timedelta(days=9), HOST)
    async with (
        listening(context) as (listener, port),
        gateway_at(f"https://{HOST}:{port}") as gateway,
    ):
        with pytest.raises(GatewayError):
            await look(gateway)
    assert listener.requests == 0


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """Serve connections that answer their requests with these bytes in turn, and end after the last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # the client has gone
            for answer in answers:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


LENGTH = b"Content-Length: %d\r\n\r\n%s" % (len(ANSWER.body), ANSWER.body)
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (
    *(ANSWER.body[:5], len(ANSWER.body) - 5, ANSWER.body[5:]),
)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + LENGTH,
        b"HTTP/1.1 200 OK\r\n" + CHUNKS,
        b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER.body,
        b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER.body,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n" + LENGTH,
    ],
    ids=["by its length", "in pieces", "to the end", "of HTTP/1.0", "after others"],
)
async def test_an_answer_is_read_whole(answer: bytes) -> None:
    async with answering(answer) as port, gateway_at(f"http://{HOST}:{port}") as gateway:
        assert (await look(gateway)).id == "order_1"
        assert (await look(gateway)).id == "order_1"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + ANSWER.body,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + ANSWER.body[:5],
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"",
    ],
    ids=["cut off", "cut off in pieces", "without a status", "of another protocol", "none"],
)
@pytest.mark.parametrize("ask", [look, buy])
async def test_what_is_no_whole_answer_is_unknown(ask: Ask, answer: bytes) -> None:
    async with answering(answer) as port, gateway_at(f"http://{HOST}:{port}") as gateway:
        with pytest.raises(GatewayUnknown):
            await ask(gateway)


async def test_what_comes_unasked_is_not_the_answer_to_the_next_request(
    server: HttpServer,
) -> None:
    other = json.dumps({**ORDER, "id": "order_2"}).encode()
    unasked = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(other), other)
    is_idle, is_sent = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # the client has gone
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\n" + LENGTH)
                await is_idle.wait()
                writer.write(unasked)
                is_sent.set()
        writer.close()

    listener = await asyncio.start_server(serve, HOST, 0)
    port = listener.sockets[0].getsockname()[1]
    async with (
        listener,
        gateway_at(f"http://{HOST}:{port}") as gateway,
        gateway_at(server.url) as elsewhere,
    ):
        await look(gateway)
        is_idle.set()
        await is_sent.wait()
        await look(elsewhere)  # until then, the event loop has read what was sent
        assert (await buy(gateway)).id == "order_1"


async def test_a_host_may_have_a_path_and_its_port_is_named(server: HttpServer) -> None:
    async with gateway_at(f"{server.url}/razorpay") as gateway:
        await look(gateway)
    (sent,) = server.requests
    assert sent.path == "/razorpay/v1/orders/order_1"
    assert sent.headers["host"] == server.url.removeprefix("http://")


async def test_a_line_break_in_the_head_sends_nothing(server: HttpServer) -> None:
    connections = Connections(1)
    headers = {"X-Refund-Idempotency": "a\r\nX-Other: b"}
    with pytest.raises(ValueError, match="line break"):
        await connections.exchange(Request("POST", f"{server.url}/v1/orders", headers, "{}"))
    await connections.close()
    assert server.requests == []
