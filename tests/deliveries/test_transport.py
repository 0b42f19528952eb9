"""HTTP to strangers: what they do to us ends at the deadline, and no name leads into our networks."""

import asyncio
import datetime
import gzip
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kernapay.config.allowed_hosts import read_allowed_host
from kernapay.deliveries.addresses import AddressRules, Target
from kernapay.deliveries.transport import Answer, NoAnswer, Transport
from tests.certificates import certificate
from tests.deliveries.names import resolving
from tests.drip_server import DripServer
from tests.http_server import HttpServer, Response

pytestmark = [pytest.mark.anyio, pytest.mark.owasp(line="API7")]

LOCAL = AddressRules((443,), (read_allowed_host("127.0.0.1"), read_allowed_host("hooks.test")))
SECONDS = 1.0
"""For what is about the deadline."""
PATIENT = 20.0
"""For the rest: a busy machine may take longer than a second."""


def target(url: str) -> Target:
    return LOCAL.read(url, may_be_internal=True)


def stranger(name: str, port: int, scheme: str = "http") -> Target:
    """A target whose address is judged, on a port of the test."""
    return Target(f"{scheme}://{name}:{port}/hook", name, port, is_allowed=False)


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Transport]:
    transport = Transport(**{"connections": 50, "seconds": PATIENT, **options})
    try:
        yield transport
    finally:
        await transport.close()


async def post(to: Target, **options: Any) -> Answer:
    async with opened(**options) as transport:
        return await transport.post(to, {"content-type": "application/json"}, b'{"a": 1}')


class RawServer:
    """Answer each connection with `reply`, which gets the socket once a request has come."""

    def __init__(
        self, reply: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
    ) -> None:
        self.requests = 0
        self._reply = reply
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._context is None:
                self._reply_to(connection)
            else:
                with self._context.wrap_socket(connection, server_side=True) as secured:
                    self._reply_to(secured)

    def _reply_to(self, connection: socket.socket) -> None:
        connection.recv(65_536)
        self.requests += 1
        self._reply(connection)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def raw() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(
        reply: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
    ) -> RawServer:
        servers.append(RawServer(reply, context))
        return servers[-1]

    yield start
    for each in servers:
        each.close()


async def test_an_answer_comes_with_its_status_and_its_beginning() -> None:
    with HttpServer(Response(201, b"thanks", {"Retry-After": "7"})) as server:
        answer = await post(target(f"{server.url}/hook?a=%20b"))
    assert answer == Answer(201, "7", b"thanks")
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/hook?a=%20b", b'{"a": 1}')
    assert request.headers["content-length"] == "8"


@pytest.mark.parametrize("mode", ["silence", "headers"])
async def test_an_endpoint_that_hangs_or_drips_its_headers_is_cut_off(mode: Any) -> None:
    with DripServer(b"x" * 10_000, mode) as server:
        begin = time.monotonic()
        with pytest.raises(NoAnswer, match="no answer within 1 second"):
            await post(target(server.url), seconds=SECONDS)
        assert time.monotonic() - begin < SECONDS + 1


async def test_an_endpoint_that_drips_its_body_is_cut_off() -> None:
    said = pytest.raises(NoAnswer, match="no answer within")
    with DripServer(b"x" * 10_000, "body") as server, said:
        await post(target(server.url), seconds=SECONDS)


async def test_of_a_gigabyte_one_kilobyte_is_read(raw: Callable[..., RawServer]) -> None:
    sent = 0

    def reply(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x" * 1_000_000)
            sent += 1

    server = raw(reply)
    answer = await post(target(f"http://127.0.0.1:{server.port}/"))
    assert answer == Answer(200, None, b"x" * 1024)
    assert sent < 20, "it was not closed"


async def test_what_is_packed_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    with HttpServer(Response(200, bomb, {"Content-Encoding": "gzip"})) as server:
        answer = await post(target(server.url))
    assert answer.excerpt == bomb[:1024]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 2", "closed without an answer|not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "headers are too long"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_said(
    raw: Callable[..., RawServer], reply: bytes, said: str
) -> None:
    server = raw(lambda connection: connection.sendall(reply))
    with pytest.raises(NoAnswer, match=said):
        await post(target(f"http://127.0.0.1:{server.port}/"))
    assert server.requests == 1, "a POST is not repeated"


async def test_an_answer_that_breaks_off_keeps_its_status(raw: Callable[..., RawServer]) -> None:
    server = raw(
        lambda connection: connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 99\r\n\r\nhalf")
    )
    assert await post(target(f"http://127.0.0.1:{server.port}/")) == Answer(500, None, b"half")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    with HttpServer() as inner:
        elsewhere = {"Location": f"{inner.url}/secret", "Set-Cookie": "a=b"}
        with HttpServer(Response(status, b"", elsewhere)) as outer:
            assert (await post(target(outer.url))).code == status
        assert inner.requests == []


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoAnswer, match="no connection could be made"):
        await post(target(f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"],
)  # fmt: skip
async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(address: str) -> None:
    resolve, asked = resolving(address)
    with HttpServer() as server:
        with pytest.raises(NoAnswer, match="private network"):
            await post(stranger("shop.example", server.port), resolve=resolve)
        assert server.requests == []
    assert asked == ["shop.example"]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]"])
async def test_an_address_in_the_url_is_judged_as_well(host: str) -> None:
    """The resolver is not asked for it."""
    resolve, asked = resolving("8.8.8.8")
    with HttpServer() as server:
        with pytest.raises(NoAnswer):
            await post(stranger(host, server.port), resolve=resolve)
        assert server.requests == []
    assert asked == []


async def test_a_name_is_resolved_once_and_that_address_is_judged() -> None:
    """A name that is public at the first look and private at the second leads nowhere private."""
    resolve, asked = resolving("192.0.2.1", "127.0.0.1")
    with HttpServer() as server:
        with pytest.raises(NoAnswer, match="private network"):
            await post(stranger("shop.example", server.port), resolve=resolve)
        with pytest.raises(NoAnswer, match="private network"):
            await post(stranger("shop.example", server.port), resolve=resolve)
        assert server.requests == []
    assert asked == ["shop.example"] * 2


async def test_a_private_address_among_public_ones_is_left_out() -> None:
    resolve, _ = resolving("127.0.0.1 203.0.113.9 ::1")
    with HttpServer() as server:
        with pytest.raises(NoAnswer):
            await post(stranger("shop.example", server.port), resolve=resolve)
        assert server.requests == []


async def test_a_host_that_vanished_from_the_names_is_said() -> None:
    def resolve(host: str, port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(NoAnswer, match="cannot be resolved"):
        await post(stranger("gone.example", 443), resolve=resolve)


async def test_name_servers_that_hang_hold_up_nobody_else() -> None:
    released = threading.Event()

    def resolve(host: str, port: int) -> list[Any]:
        if host == "hangs.example":
            released.wait(20)
        return list(socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM))

    with HttpServer() as server:
        async with opened(resolve=resolve, seconds=5) as transport:
            hanging = [
                transport.post(stranger("hangs.example", server.port), {}, b"") for _ in range(40)
            ]
            tasks = [asyncio.ensure_future(each) for each in hanging]
            await asyncio.sleep(0.1)
            url = f"http://hooks.test:{server.port}/"
            answer = await transport.post(target(url), {}, b"")
            assert answer.code == 200
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, NoAnswer) for each in ended)
            released.set()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with HttpServer() as proxy, HttpServer() as server:
        monkeypatch.setenv(variable, proxy.url)
        assert (await post(target(server.url))).code == 200
        assert proxy.requests == []


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "days", "trusted", "said"),
    [
        ("hooks.test", 9, True, None),
        ("hooks.test", -1, True, "certificate is not valid: certificate has expired"),
        ("other.test", 9, True, "certificate is not valid: Hostname mismatch"),
        ("hooks.test", 9, False, "certificate is not valid: self-signed"),
    ],
)
async def test_tls_is_verified(
    raw: Callable[..., RawServer],
    tmp_path: Path,
    name: str,
    days: int,
    trusted: bool,
    said: str | None,
) -> None:
    server = raw(
        lambda connection: connection.sendall(OK),
        certificate(tmp_path, name, datetime.timedelta(days=days)),
    )
    context = ssl.create_default_context()
    if trusted:
        context.load_verify_locations(tmp_path / f"{name}.pem")
    resolve, _ = resolving("127.0.0.1")
    to = target(f"https://hooks.test:{server.port}/")
    if said is None:
        assert (await post(to, context=context, resolve=resolve)).code == 204
    else:
        with pytest.raises(NoAnswer, match=said):
            await post(to, context=context, resolve=resolve)
        assert server.requests == 0, "nothing was sent"


async def test_a_name_that_leads_to_us_is_found_before_anything_is_sent() -> None:
    for answer, is_private in (("8.8.8.8", False), ("8.8.8.8 10.0.0.1", True), ("::1", True)):
        resolve, _ = resolving(answer)
        async with opened(resolve=resolve) as transport:
            assert await transport.find_private(stranger("shop.example", 443)) is is_private
