"""Bodies that dawdle, and bodies that swell."""

import gzip
import socket
from time import monotonic

import httpx
import pytest

from tests.actors import USERS, assert_problem
from tests.aliases import Json
from tests.factories import sign_up_body
from tests.stack import WEBHOOK_PATH, Api, StartApi

pytestmark = pytest.mark.owasp(line="API4")


def _answer_to(api: Api, *pieces: bytes, then_wait: float) -> tuple[bytes, float]:
    """Send the pieces and stay connected; return the answer, and after how many seconds it came."""
    started = monotonic()
    with socket.create_connection(("127.0.0.1", api.port), timeout=then_wait) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return connection.recv(65_536), monotonic() - started


def test_a_body_that_does_not_arrive_is_cut(start_api: StartApi) -> None:
    impatient = start_api(BODY_TIMEOUT="400ms")
    for path in (f"{USERS}/login", f"{USERS}/signup", WEBHOOK_PATH):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: kernapay\r\nContent-Type: application/json\r\n"
            "Content-Length: 500\r\n\r\n"
        )
        answer, seconds = _answer_to(impatient, head.encode(), b'{"email": "a', then_wait=10)
        assert answer.startswith(b"HTTP/1.1 408"), answer
        assert b"urn:kernapay:problem:request_timeout" in answer
        assert seconds > 0.3


def test_a_body_in_pieces_is_taken(api: httpx.Client) -> None:
    def pieces() -> list[bytes]:
        body = httpx.Request("POST", "http://x", json=sign_up_body()).content
        return [body[start : start + 40] for start in range(0, len(body), 40)]

    answer = api.post(
        f"{USERS}/signup", content=iter(pieces()), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_not_unpacked(api: httpx.Client, encoding: str) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    for path in (f"{USERS}/signup", WEBHOOK_PATH):
        assert_problem(
            api.post(path, content=bomb, headers=headers), 415, code="unsupported_media_type"
        )


def test_a_body_that_says_it_is_as_it_is_is_taken(api: httpx.Client) -> None:
    answer = api.post(
        f"{USERS}/signup", json=sign_up_body(), headers={"Content-Encoding": "identity"}
    )
    assert answer.status_code == 201


def test_refusals_say_so_in_the_document(served_document: Json) -> None:
    paths = served_document["paths"]
    for path, method in (
        ("/v1/api/users/login", "post"),
        ("/v1/api/users/signup", "post"),
        ("/v1/api/users/refresh", "post"),
        ("/v1/api/payments/create", "post"),
        ("/v1/api/payments/verify", "post"),
        ("/v1/api/payments/status/{reference_id}", "get"),
    ):
        responses = paths[path][method]["responses"]
        assert "Retry-After" in responses["429"]["headers"], path
        if method == "post":
            assert {"408", "413", "415"} <= responses.keys(), path
    assert "429" not in paths["/v1/api/users/profile"]["get"]["responses"]
