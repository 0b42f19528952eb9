"""The tests' own HTTP: an answer is read as httpx reads it, or is the same error."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from kernapay.devstack.ports import HOST, free_port
from tests.http_server import HttpServer, Response
from tests.plain_http import PlainTransport


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Send these bytes to whoever connects, then hang up."""
    with socket.create_server((HOST, 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://{HOST}:{server.getsockname()[1]}/"
        thread.join()


def client() -> httpx.Client:
    return httpx.Client(transport=PlainTransport(), timeout=20)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["a length", "pieces", "until the end", "after a word before"],
)
def test_a_body_is_read_to_its_end(reply: bytes) -> None:
    with answering(reply) as url, client() as browser:
        assert browser.get(url).text == "hello"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_an_answer_without_its_end_is_none(reply: bytes) -> None:
    with answering(reply) as url, client() as browser, pytest.raises(httpx.RemoteProtocolError):
        browser.get(url)


def test_who_is_away_or_silent_is_the_same_error_as_with_httpx() -> None:
    with client() as browser:
        with pytest.raises(httpx.ConnectError):
            browser.get(f"http://{HOST}:{free_port()}/")
        with socket.create_server((HOST, 0)) as silent, pytest.raises(httpx.ReadTimeout):
            browser.get(f"http://{HOST}:{silent.getsockname()[1]}/", timeout=0.05)


def test_a_connection_is_kept_and_what_is_sent_arrives() -> None:
    with HttpServer(Response(201, b"", {"X-A": "1"})) as server, client() as browser:
        browser.post(f"{server.url}/a?b=%20", json={"c": 1}, headers={"X-B": "2"})
        (connection,) = browser._transport._idle[(HOST, server.port)]  # type: ignore[attr-defined]
        answer = browser.get(f"{server.url}/")
        assert (answer.status_code, answer.headers["x-a"]) == (201, "1")
        assert browser._transport._idle[(HOST, server.port)] == [connection]  # type: ignore[attr-defined]
        first, second = server.requests
        assert (first.method, first.path, first.body) == ("POST", "/a?b=%20", b'{"c":1}')
        assert first.headers["x-b"] == "2"
        assert (second.method, second.body) == ("GET", b"")
