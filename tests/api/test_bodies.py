"""What no handler gets to see: bodies that are no JSON, or too much of it."""

import httpx
import pytest

from tests.actors import PAYMENTS, USERS, Actor, assert_problem
from tests.factories import payment_body, sign_up_body

pytestmark = pytest.mark.owasp(line="API4")

JSON = {"Content-Type": "application/json"}
ROUTES = [f"{USERS}/signup", f"{USERS}/login", f"{PAYMENTS}/verify", f"{PAYMENTS}/create"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b'{"email": "\xff\xfe"}',
        b'{"\xc3\x28": 1}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"email": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"email": "\\ud800"}',
        b'{"amount": 1e999}',
        b'{"amount": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"email": "a@example.com"} trailing',
        b"",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_bytes_that_are_no_sound_json_are_a_client_error(
    user: Actor, route: str, content: bytes
) -> None:
    assert_problem(user.call("POST", route, content=content, headers=JSON), 400)


def test_numbers_and_text_are_not_taken_for_each_other(api: httpx.Client, user: Actor) -> None:
    assert_problem(user.create(payment_body(amount="50000")), 400, "amount")
    assert_problem(user.create(payment_body(description=5)), 400, "description")
    body = sign_up_body(name=5)
    assert_problem(api.post(f"{USERS}/signup", json=body), 400, "name")


def test_a_body_past_the_limit_is_refused(api: httpx.Client, user: Actor) -> None:
    answer = user.create(payment_body(description="x" * 70_000))
    assert_problem(answer, 413)


def test_a_body_past_the_limit_is_refused_also_when_its_length_is_not_told(user: Actor) -> None:
    def chunks() -> object:
        for _ in range(80):
            yield b" " * 1024

    answer = user.call("POST", f"{PAYMENTS}/create", content=chunks(), headers=JSON)
    assert_problem(answer, 413)
    assert answer.headers["connection"] == "close", "what is left of the body is no request"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/api/nothing", 404),
        ("GET", "/", 404),
        ("DELETE", f"{USERS}/signup", 405),
        ("PATCH", f"{PAYMENTS}/create", 405),
        ("GET", f"{PAYMENTS}/verify/x", 404),
        ("GET", "/%00", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(
    user: Actor, method: str, path: str, status: int
) -> None:
    assert_problem(user.call(method, path), status)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_the_content_type_does_not_open_another_door(user: Actor, kind: str | None) -> None:
    """A form is no JSON; JSON under another name is read as what it is or refused, never a 5xx."""
    headers = {} if kind is None else {"Content-Type": kind}
    answer = user.call("POST", f"{PAYMENTS}/create", content=b"amount=5", headers=headers)
    assert 400 <= answer.status_code < 500
    assert_problem(answer, answer.status_code)
