"""The client that sends webhooks, against servers that respond in every way."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kernapay.sandbox.webhook_sender import SendError, WebhookResponse, WebhookSender

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Respond to each request with the next of the given bytes. None closes the connection."""

    def __init__(self, *responses: bytes | None) -> None:
        self.responses = list(responses)
        self.requests: list[bytes] = []
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.responses:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                response = self.responses.pop(0)
                if response is None:
                    break
                writer.write(response)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def run_with(server: Server, send: Callable[[WebhookSender, str], Awaitable[None]]) -> None:
    async def run() -> None:
        listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        sender = WebhookSender()
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            async with asyncio.timeout(10):
                await send(sender, f"http://127.0.0.1:{port}/hooks?a=b")
            sender.close()

    asyncio.run(run())


def test_requests_share_one_connection() -> None:
    server = Server(OK, OK, OK)

    async def send(sender: WebhookSender, url: str) -> None:
        for body in (b"one", b"two"):
            response = await sender.post(url, body, {"X-A": "b"})
            assert response == WebhookResponse(200, {"content-length": "2"}, "ok")

    run_with(server, send)
    assert server.connections == 1
    first = server.requests[0]
    assert first.startswith(b"POST /hooks?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"X-A: b\r\n" in first
    assert first.endswith(b"\r\n\r\none")


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 500, ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000, 200, "xxx"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", 200, "\ufffd\ufffd"),
    ],
)
def test_every_kind_of_response_is_read(response: bytes, status: int, body: str) -> None:
    async def send(sender: WebhookSender, url: str) -> None:
        for _ in range(2):  # the second must not read what is left of the first
            result = await sender.post(url, b"x", {})
            assert result.status == status
            assert body in result.body
            assert len(result.body) <= 2_000

    run_with(Server(response, response, OK), send)


@pytest.mark.parametrize(
    "response", [None, b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 100_000, b""]
)
def test_no_response_or_an_invalid_one_is_an_error(response: bytes | None) -> None:
    async def send(sender: WebhookSender, url: str) -> None:
        if response == b"":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await sender.post(url, b"x", {})
        else:
            with pytest.raises(SendError):
                await sender.post(url, b"x", {})

    run_with(Server(response, OK), send)


def test_a_closed_connection_is_replaced() -> None:
    server = Server(OK)

    async def send(sender: WebhookSender, url: str) -> None:
        await sender.post(url, b"x", {})
        connection = next(iter(sender._idle.values()))[0]
        await connection.reader.read()  # the server has no more responses and closes
        server.responses.append(OK)
        assert (await sender.post(url, b"y", {})).status == 200

    run_with(server, send)
    assert server.connections == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/", "http://nowhere.invalid/x"]
)
def test_an_address_without_a_server_is_an_error(url: str) -> None:
    async def run() -> None:
        with pytest.raises(SendError):
            await WebhookSender().post(url, b"x", {})

    asyncio.run(run())
