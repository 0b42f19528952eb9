"""API4, unrestricted resource consumption: bodies, numbers, texts, queries and connections without measure.

Every operation answers each of them at once, with a refusal that says what was too much.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from kernapay.devstack.ports import HOST
from kernapay.security.principal import Role
from tests.actors import ADMIN, EVENTS, PAYMENTS, USERS, send_event
from tests.aliases import Json
from tests.attacks.pairs import Pair
from tests.attacks.share import Sweep
from tests.attacks.surface import WEBHOOK, Operation
from tests.attacks.wire import JSON, Answer, Wire
from tests.factories import unique
from tests.stack import Api

pytestmark = pytest.mark.owasp(line="API4")

BODY_LIMIT = 65_536
DEEP = 30_000
NUMBERS = [
    *("1e400", "-1e400", "1e-400", "1" * 4_301, "-" + "9" * 5_000, "1" * 50_000),
    *("0." + "3" * 10_000, "1e308", "9223372036854775808", "18446744073709551616"),
    *("NaN", "Infinity", "-Infinity", "0x10", "1_000", "01", "+1", "1e99999999999999999999"),
]
UNPAGED = {
    "GET /v1/api/users/sessions",
    "GET /v1/api/payments/{reference_id}/gateway-calls",
}
"""Lists that are bounded by themselves: only so many living sessions, or calls about a payment, are shown."""


@pytest.fixture(scope="module")
def targets(
    api_server: Api, surface: list[Operation], pairs: Mapping[Role, Pair]
) -> Iterator[list[tuple[Operation, Wire, str]]]:
    """Every operation, a connection of somebody who may use it, and a path to something that is there."""
    with ExitStack() as wires:
        found = []
        for operation in surface:
            pair = pairs[operation.role or Role.USER]
            wire = wires.enter_context(Wire(api_server.port, pair.owner.token))
            path = operation.path.format(**pair.owned.ids)
            found.append((operation, wire, path))
        yield found


def with_bodies(
    targets: list[tuple[Operation, Wire, str]],
) -> Iterator[tuple[Operation, Wire, str]]:
    for operation, wire, path in targets:
        if operation.body is not None and operation.name != WEBHOOK:
            yield operation, wire, path


def refused(answer: Answer, place: str, *statuses: int) -> None:
    assert answer.status in statuses, f"{place}: {answer}"
    assert answer.problem["detail"], place


def test_every_body_has_a_largest_size(targets: list[tuple[Operation, Wire, str]]) -> None:
    for operation, wire, path in with_bodies(targets):
        answer = wire.ask(operation.method, path, [JSON], b" " * (BODY_LIMIT + 1))
        refused(answer, operation.name, 413)
        assert answer.headers["connection"] == "close"
        # Told to be short, and sent in pieces without end: the length that counts is the real one.
        head = f"{operation.method} {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (*wire.headers, JSON))
        pieces = b"".join(b"1000\r\n" + b" " * 4096 + b"\r\n" for _ in range(17)) + b"0\r\n\r\n"
        refused(wire.send(head.encode() + b"\r\n" + pieces), operation.name, 413)


def deep_bodies(operation: Operation) -> Iterator[bytes]:
    opened, closed = b"[" * DEEP, b"]" * DEEP
    objects, ends = b'{"a":' * (BODY_LIMIT // 7), b"}" * (BODY_LIMIT // 7)
    yield opened + closed
    yield opened
    yield objects + b"1" + ends
    yield b'{"unknown":' + opened + closed + b"}"
    for field in operation.fields:
        name = json.dumps(field.name).encode()
        yield b"{" + name + b":" + opened + closed + b"}"
        yield b"{" + name + b":" + objects[: DEEP - DEEP % 5] + b"1" + b"}" * (DEEP // 5) + b"}"


def test_no_depth_of_json_exhausts_the_stack(targets: list[tuple[Operation, Wire, str]]) -> None:
    sweep = Sweep()
    for operation, wire, path in with_bodies(targets):
        for body in sweep.share(deep_bodies(operation)):
            answer = wire.ask(operation.method, path, [JSON], body)
            refused(answer, f"{operation.name} {body[:30]!r}", 400)


def test_every_text_has_a_longest(targets: list[tuple[Operation, Wire, str]]) -> None:
    sweep = Sweep()
    for operation, wire, path in with_bodies(targets):
        for field in operation.fields:
            for text in sweep.share(("x" * 60_000, "1" * 60_000, "\u20ac" * 10_000)):
                body = {**operation.body, field.name: text}  # type: ignore[dict-item]
                answer = wire.post(operation.method, path, body)
                refused(answer, f"{operation.name} {field.name}", 400)
                assert answer.problem["errors"][0]["field"] == field.name, answer.text
                assert len(answer.body) < 2_000, "the text is not sent back"


def test_no_number_is_too_much_to_be_refused(targets: list[tuple[Operation, Wire, str]]) -> None:
    sweep = Sweep()
    for operation, wire, path in with_bodies(targets):
        for field in operation.fields:
            others = {**operation.body, field.name: "@"}  # type: ignore[dict-item]
            for number in sweep.share(NUMBERS):
                body = json.dumps(others).replace('"@"', number).encode()
                answer = wire.ask(operation.method, path, [JSON], body)
                refused(answer, f"{operation.name} {field.name} {number[:30]}", 400)
                assert len(answer.body) < 2_000, "the number is not sent back"


def test_no_body_has_room_for_thousands_of_names(
    targets: list[tuple[Operation, Wire, str]],
) -> None:
    crowd: dict[str, Any] = {f"n{number}": "1" for number in range(4_000)}
    sweep = Sweep()
    for operation, wire, path in with_bodies(targets):
        refused(wire.post(operation.method, path, crowd), operation.name, 400)
        for field in operation.fields:
            for value in sweep.share((crowd, list(crowd))):
                body = {**operation.body, field.name: value}  # type: ignore[dict-item]
                refused(wire.post(operation.method, path, body), f"{operation.name} {field}", 400)


REQUIRED = {"GET /v1/api/deliveries": f"&endpointId={'0' * 24}"}
"""What lists cannot be asked without, beside the size of a page."""


def test_every_page_has_a_largest_size(
    targets: list[tuple[Operation, Wire, str]], served_document: Json
) -> None:
    huge = (
        "1e9",
        "99999999999999999999",
        "9" * 5_000,
        "-1",
        "1.5",
        "\uff11\uff10\uff10",
        "0x10",
        "1_0",
    )
    sweep = Sweep()
    for operation, wire, path in targets:
        for field in operation.parameters_in("query"):
            if not field.takes("integer"):
                continue
            (choice,) = (each for each in field.choices if each["type"] == "integer")
            assert choice["minimum"] in (0, 1), field
            if operation.path.startswith("/v1/api/files") or field.name.endswith("Amount"):
                continue  # a moment or money, not a size
            assert choice["maximum"] <= {"count": 500, "skip": 100_000}[field.name], operation.name
            for value in (*sweep.share(huge), str(choice["maximum"] + 1)):
                quoted = "".join(f"%{byte:02x}" for byte in value.encode())
                query = f"{field.name}={quoted}{REQUIRED.get(operation.name, '')}"
                answer = wire.ask(operation.method, f"{path}?{query}")
                refused(answer, f"{operation.name} {field.name}={value[:30]}", 400)
                assert answer.problem["errors"][0]["field"] == field.name


def test_every_list_has_pages(surface: list[Operation], served_document: Json) -> None:
    schemas = served_document["components"]["schemas"]
    for operation in surface:
        described = served_document["paths"][operation.path][operation.method.lower()]
        content = described["responses"].get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        found = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
        lists = found.get("type") == "array" or (
            "total" in found.get("properties", {})  # a page and how many there are
        )
        if lists and operation.name not in UNPAGED:
            names = {field.name for field in operation.parameters_in("query")}
            assert "count" in names, operation.name
            assert {"skip", "cursor"} & names, operation.name


def test_a_query_or_head_without_end_is_no_server_error(
    api_server: Api, targets: list[tuple[Operation, Wire, str]]
) -> None:
    for operation, wire, path in targets:
        if operation.method != "GET":
            continue
        for query in (
            "x=" + "y" * 60_000,
            "&".join(f"a{n}=1" for n in range(3_000)),
            "count=1&" * 2_000,
        ):
            answer = wire.ask("GET", f"{path}?{query}")
            assert 200 <= answer.status < 500, f"{operation.name} {query[:20]}"
    with Wire(api_server.port) as wire:
        for headers in ([("X-Long", "y" * 60_000)], [(f"X-{n}", "1") for n in range(2_000)]):
            assert wire.ask("GET", "/health/live", headers).status in (200, 400, 431)
        assert wire.ask("GET", "/" + "a/" * 20_000).status in (404, 414)
        assert wire.ask("GET", "/health/live").status == 200


def test_connections_that_never_finish_their_head_hold_up_nobody(api_server: Api) -> None:
    with ExitStack() as open_connections:
        for _ in range(200):
            connection = socket.create_connection((HOST, api_server.port), timeout=10)
            open_connections.enter_context(connection)
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: kernapay\r\nX-Slow: ")
        started = monotonic()
        assert api_server.client.get("/health/ready").status_code == 200
        assert monotonic() - started < 5


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_a_head_that_does_not_arrive_is_cut(api_server: Api) -> None:
    with socket.create_connection((HOST, api_server.port), timeout=100) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: kernapay\r\nX-Slow: ")
        assert b"200" not in connection.recv(1_000), "the server hangs up by itself"


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_an_idle_connection_is_kept_longer_than_proxies_keep_theirs(api_server: Api) -> None:
    with Wire(api_server.port) as wire:
        assert wire.ask("GET", "/health/live").status == 200
        sleep(65)
        assert wire.ask("GET", "/health/live").status == 200


def test_a_signed_event_may_be_as_deep_as_it_likes(
    api_server: Api, pairs: Mapping[Role, Pair]
) -> None:
    """Stored as it came, whatever it is; the inbox shows it."""
    deep = 100_000
    bodies = [
        b"[" * deep,
        b'{"a":' * deep,
        b'{"event":"payment.captured","payload":' + b"[" * deep + b"]" * deep + b"}",
        b'{"event":"payment.captured","payload":{"payment":{"entity":' + b'{"a":' * deep,
        b'{"event":' + b"9" * 5_000 + b"}",
        b'{"event":"payment.captured","payload":{"payment":{"entity":{"amount":' + b"9" * 5_000,
    ]
    admin = pairs[Role.ADMIN].owner
    for body in bodies:
        event_id = unique("evt_deep_")
        answer = send_event(api_server.client, body=body, event_id=event_id)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        assert admin.call("GET", f"{EVENTS}/{event_id}").status_code == 200
        replayed: httpx.Response = admin.call("POST", f"{EVENTS}/{event_id}/replay")
        assert replayed.status_code < 500, replayed.text


def test_searching_costs_the_same_whatever_is_searched_for(pairs: Mapping[Role, Pair]) -> None:
    """A pattern that backtracks without end would take longer than the age of the world."""
    admin = pairs[Role.ADMIN].owner
    for text in ("(a+)+$" + "a" * 90, "(" * 100, "[a-z" * 25, "a{1,99999}" * 10, "\\" * 99):
        started = monotonic()
        found = admin.call("GET", f"{ADMIN}/users", params={"search": text})
        assert found.json()["total"] == 0
        assert monotonic() - started < 2


def test_what_is_refused_is_refused_before_work_is_done(api_server: Api) -> None:
    """A body nobody may send is not hashed, not stored, and not sent to the gateway."""
    with Wire(api_server.port) as wire:
        started = monotonic()
        for _ in range(100):
            answer = wire.post("POST", f"{USERS}/login", {"email": "a@b.c", "password": "x" * 129})
            assert answer.status == 400
            answer = wire.post("POST", f"{PAYMENTS}/create", {"amount": 1})
            assert answer.status == 401
        assert monotonic() - started < 5
