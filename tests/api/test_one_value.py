"""One value where one is meant: no header, query parameter or field of a body comes twice."""

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx
import pytest
from litestar import Litestar

from kernapay.web.parameters import declared
from tests.actors import PAYMENTS, USERS, Actor, People, assert_problem
from tests.attacks.wire import JSON, Wire
from tests.factories import payment_body, unique, without
from tests.house.routes import routes
from tests.stack import Api, Sandbox, bearer


class Parameter(NamedTuple):
    method: str
    path: str
    name: str


def parameters(application: Litestar, *, in_query: bool) -> Iterator[Parameter]:
    declared_by = {handler: names for handler, *names in declared(application)}
    for found in routes(application):
        method, path = found.name.split(" ")
        # Any id does: parameters of the query are looked at before those of the path.
        target = re.sub("{.*?}", "0" * 24, path)
        query, headers = declared_by[found.handler]
        for name in query if in_query else headers:
            yield Parameter(method, target, name)


@pytest.fixture
def ask(admin: Actor, people: People) -> Callable[..., httpx.Response]:
    """Call as an administrator, or as the only role that is let in."""
    provider = people.new("PROVIDER")
    return lambda method, path, **options: (provider if path.endswith("/received") else admin).call(
        method, path, **options
    )


def assert_refused(answer: httpx.Response, name: str, sentence: str) -> None:
    """Assert the sentence too: a value of the wrong type is a 400 with the same field."""
    problem = assert_problem(answer, 400)
    assert problem["errors"] == [{"field": name, "message": sentence}]


def test_a_query_parameter_that_comes_twice_is_refused_on_every_route(
    application: Litestar, ask: Callable[..., httpx.Response]
) -> None:
    tried = 0
    for method, path, name in parameters(application, in_query=True):
        for values in (("1", "1"), ("1", "2"), ("", "1")):
            query = [(name, value) for value in values]
            assert_refused(ask(method, path, params=query), name, "Send it once.")
        tried += 1
    assert tried > 30


@pytest.mark.parametrize("value", ["null", "NULL", " null "])
def test_null_is_no_value_of_any_query_parameter(
    application: Litestar, ask: Callable[..., httpx.Response], value: str
) -> None:
    for method, path, name in parameters(application, in_query=True):
        answer = ask(method, path, params={name: value})
        assert_refused(answer, name, "Must not be null. Leave it out instead.")


def test_a_parameter_that_no_route_knows_is_no_error(admin: Actor) -> None:
    assert admin.call("GET", f"{USERS}/sessions?x=1&x=2&y=null").status_code == 200
    assert admin.history(x="null").status_code == 200


@pytest.mark.owasp(line="API4")
def test_a_query_that_would_fill_the_memory_is_refused_on_every_route_that_reads_one(
    application: Litestar, ask: Callable[..., httpx.Response]
) -> None:
    """The framework remembers the last thousand that it read, whatever their length."""
    sentence = "Must be shorter: a query has at most 4096 bytes."
    for method, path, name in parameters(application, in_query=True):
        assert_refused(ask(method, path, params={name: "1" * 4096}), name, sentence)
        unread = ask(method, path, params={"x" * 60_000: "1", name: "1"})
        assert assert_problem(unread, 400)["detail"] == sentence


def test_a_long_query_is_read_to_its_end(user: Actor) -> None:
    padding = "x" * (4096 - len("count=0&x="))
    assert user.call("GET", f"{PAYMENTS}?count=1&x={padding}").status_code == 200
    assert_problem(user.call("GET", f"{PAYMENTS}?x={padding}&count=0"), 400, "count")


def test_a_header_that_comes_twice_is_refused_on_every_route(
    application: Litestar, api_server: Api, admin: Actor
) -> None:
    names = {name for _, _, name in parameters(application, in_query=False)}
    assert names >= {"Idempotency-Key", "X-Razorpay-Event-Id"}
    with Wire(api_server.port, admin.token) as wire:
        for name in (*names, "Content-Type", "X-Razorpay-Signature", "content-TYPE"):
            for method, path in (("POST", f"{PAYMENTS}/create"), ("GET", f"{USERS}/profile")):
                answer = wire.ask(method, path, [(name, "application/json")] * 2)
                assert answer.status == 400, f"{name} {path}"
                assert answer.problem["errors"][0]["field"].lower() == name.lower()


def test_two_idempotency_keys_make_no_order(api_server: Api, user: Actor, sandbox: Sandbox) -> None:
    before = sandbox.order_count()
    body = json.dumps(without(payment_body(), "idempotencyKey")).encode()
    with Wire(api_server.port, user.token) as wire:
        for _ in range(2):
            keys = [("Idempotency-Key", unique("key-")) for _ in range(2)]
            answer = wire.ask("POST", f"{PAYMENTS}/create", [JSON, *keys], body)
            assert answer.status == 400
            assert answer.problem["errors"][0]["field"] == "Idempotency-Key"
    assert sandbox.order_count() == before


def test_a_name_that_comes_twice_in_a_body_is_refused(user: Actor) -> None:
    whole = json.dumps(payment_body())
    for doubled in ('"amount": 1', '"idempotencyKey": "another"', '"\\u0061mount": 2'):
        content = whole.replace("{", f"{{{doubled}, ", 1)
        answer = user.call(
            "POST", f"{PAYMENTS}/create", content=content.encode(), headers=dict([JSON])
        )
        assert_problem(answer, 400, json.loads(f"{{{doubled}}}").popitem()[0])
    nested = json.dumps(payment_body(notes={"a": "b"})).replace('"a"', '"a": "c", "a"')
    answer = user.call("POST", f"{PAYMENTS}/create", content=nested.encode(), headers=dict([JSON]))
    assert_problem(answer, 400, "a")


HOSTS = {
    "GET /health/live HTTP/1.1\r\n": 400,
    "GET /health/live HTTP/1.1\r\nHost:\r\n": 400,
    "GET /health/live HTTP/1.1\r\nHost: \t \r\n": 400,
    "GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n": 400,
    "GET /health/live HTTP/1.1\r\nHost: a\r\nhOST: b\r\n": 400,
    "GET /health/live HTTP/1.1\r\nHost: a b\r\n": 400,
    "GET /no/such/path HTTP/1.1\r\nHost: a\r\nHost: b\r\n": 400,
    "GET http://a/health/live HTTP/1.1\r\nHost: b\r\n": 200,
    "GET /health/live HTTP/1.0\r\n": 200,
    "GET /health/live HTTP/1.1\r\nHost: a\r\n": 200,
    "GET /health/live HTTP/1.1\r\nHost: [::1]:3000\r\n": 200,
}


@pytest.mark.parametrize("head", HOSTS, ids=repr)
def test_a_request_has_one_host(api_server: Api, head: str) -> None:
    with Wire(api_server.port) as wire:
        answer = wire.send(f"{head}\r\n".encode())
    assert answer.status == HOSTS[head]
    if answer.status == 400:
        assert answer.problem["code"] == "invalid_input"
        assert answer.headers["x-request-id"]


def test_an_id_of_a_request_is_taken_over_once_or_made(api_server: Api) -> None:
    with Wire(api_server.port) as wire:
        ids = [("X-Request-ID", "from-the-client"), ("X-Request-ID", "from-somebody-else")]
        assert wire.ask("GET", "/health/live", ids[:1]).headers["x-request-id"] == ids[0][1]
        made = wire.ask("GET", "/health/live", ids).headers["x-request-id"]
        assert made not in dict(ids).values()
        assert made not in ", ".join(dict(ids).values())


def test_two_tokens_for_the_metrics_are_none(api_server: Api) -> None:
    token = next(iter(bearer("metrics-tests-93b0c6d1f7a24e58").items()))
    with Wire(api_server.port) as wire:
        assert wire.ask("GET", "/metrics", [token]).status == 200
        assert wire.ask("GET", "/metrics", [token, ("Authorization", "Bearer x")]).status == 401


def test_what_one_route_does_not_read_another_still_refuses(user: Actor) -> None:
    """Queries that were found right are remembered, for the route that was asked."""
    query = "skip=null"
    for _ in range(2):
        assert user.call("GET", f"{PAYMENTS}?{query}").status_code == 200
        answer = user.call("GET", f"{PAYMENTS}/history/{user.id}?{query}")
        assert_refused(answer, "skip", "Must not be null. Leave it out instead.")
