"""What a connection is worth after an answer that came before its request was complete."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse

import httpx
import pytest

from tests.actors import PAYMENTS

pytestmark = pytest.mark.owasp(line="API4")

BODY = b'{"amount": 500}'
HEAD = (
    f"POST {PAYMENTS}/create HTTP/1.1\r\nHost: localhost\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()


@pytest.fixture
def connection(api: httpx.Client) -> Iterator[socket.socket]:
    with closing(
        socket.create_connection((api.base_url.host, api.base_url.port or 80), 10)
    ) as each:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield each


def answer_on(connection: socket.socket) -> HTTPResponse:
    answer = HTTPResponse(connection, method="POST")
    answer.begin()
    answer.read()
    return answer


def test_a_refusal_leaves_the_connection_open_when_the_body_comes_right_behind(
    connection: socket.socket,
) -> None:
    """Many clients send the body as a second packet; a closed connection would fail their next request."""
    for _ in range(5):
        connection.sendall(HEAD)
        time.sleep(0.005)
        connection.sendall(BODY)
        answer = answer_on(connection)
        assert answer.status == 401
        assert answer.getheader("connection") is None


def test_a_refusal_says_that_it_closes_the_connection_when_the_body_does_not_come(
    connection: socket.socket,
) -> None:
    connection.sendall(HEAD)
    answer = answer_on(connection)
    assert answer.status == 401
    assert answer.getheader("connection") == "close"
    assert connection.recv(1) == b""
