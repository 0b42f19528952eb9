"""The client that carries webhooks, against servers of every habit."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kernapay.sandbox.postman import Answer, DeliveryError, Postman

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with the next of the given bytes; closes where there is None."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def talk(server: Server, story: Callable[[Postman, str], Awaitable[None]]) -> None:
    async def run() -> None:
        listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        postman = Postman()
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            async with asyncio.timeout(10):
                await story(postman, f"http://127.0.0.1:{port}/hooks?a=b")
            postman.close()

    asyncio.run(run())


def test_requests_follow_each_other_on_one_connection() -> None:
    server = Server(OK, OK, OK)

    async def story(postman: Postman, url: str) -> None:
        for body in (b"one", b"two"):
            answer = await postman.post(url, body, {"X-A": "b"})
            assert answer == Answer(200, {"content-length": "2"}, "ok")

    talk(server, story)
    assert server.connections == 1
    first = server.requests[0]
    assert first.startswith(b"POST /hooks?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"X-A: b\r\n" in first
    assert first.endswith(b"\r\n\r\none")


@pytest.mark.parametrize(
    ("answer", "status", "body"),
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
def test_every_kind_of_answer_is_understood(answer: bytes, status: int, body: str) -> None:
    async def story(postman: Postman, url: str) -> None:
        for _ in range(2):  # whatever the first left on its connection must not meet the second
            found = await postman.post(url, b"x", {})
            assert found.status == status
            assert body in found.body
            assert len(found.body) <= 2_000

    talk(Server(answer, answer, OK), story)


@pytest.mark.parametrize(
    "answer", [None, b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 100_000, b""]
)
def test_no_answer_or_nonsense_is_a_delivery_error(answer: bytes | None) -> None:
    async def story(postman: Postman, url: str) -> None:
        if answer == b"":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await postman.post(url, b"x", {})
        else:
            with pytest.raises(DeliveryError):
                await postman.post(url, b"x", {})

    talk(Server(answer, OK), story)


def test_a_connection_closed_meanwhile_is_replaced() -> None:
    server = Server(OK)

    async def story(postman: Postman, url: str) -> None:
        await postman.post(url, b"x", {})
        connection = next(iter(postman._idle.values()))[0]
        await connection.reader.read()  # the server has no more answers and closes
        server.answers.append(OK)
        assert (await postman.post(url, b"y", {})).status == 200

    talk(server, story)
    assert server.connections == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/", "http://nowhere.invalid/x"]
)
def test_an_address_nobody_answers_at_is_a_delivery_error(url: str) -> None:
    async def run() -> None:
        with pytest.raises(DeliveryError):
            await Postman().post(url, b"x", {})

    asyncio.run(run())
