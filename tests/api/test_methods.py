"""HEAD, OPTIONS and 405 on every path that is registered."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from io import BytesIO, TextIOWrapper
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar, get
from litestar.response import Stream
from litestar.routes import HTTPRoute

from kernapay.core.log_stream import LogStream
from kernapay.security.principal import Role
from kernapay.web.access_log import AccessLog
from kernapay.web.headers import SecurityHeaders
from kernapay.web.middleware import RequestLayer
from tests.actors import ADMIN, PAYMENTS, USERS, Actor, People, assert_problem
from tests.aliases import Store
from tests.attacks.pairs import Pair, set_up
from tests.attacks.wire import Wire
from tests.house.routes import routes
from tests.in_process import InProcess
from tests.stack import Api, Sandbox, SandboxServer
from tests.waiting import eventually

METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
# What differs between two answers to the same request.
OF_THE_MOMENT = {"date", "x-request-id", "content-length", "transfer-encoding"}


@pytest.fixture(scope="module")
def pair(api_server: Api, store: Store, sandbox_server: SandboxServer) -> Iterator[Pair]:
    """Two administrators, and what belongs to the first of them."""
    with Sandbox(sandbox_server.url) as sandbox:
        pair = set_up(Role.ADMIN, People(api_server.client, store), store, sandbox)
        # Calls to the gateway are written a moment later: let those be there that were made before the last payment.
        last = store.payments.find_one(sort=[("_id", -1)])
        assert last is not None
        eventually(lambda: store.gateway_calls.find_one({"subjects": last["receipt"]}))
        yield pair


@pytest.fixture(scope="module")
def targets(application: Litestar, pair: Pair) -> dict[str, set[str]]:
    """Every registered path, with real ids, and its methods."""
    ids = pair.owned.ids
    found: dict[str, set[str]] = {}
    for route in application.routes:
        assert isinstance(route, HTTPRoute)
        name = "swagger-ui.css" if "/docs/" in route.path_format else pair.owned.file_name
        target = route.path_format.format_map(
            {"token": "0" * 43, "code": "0" * 22, "version": "0", "rest": "nothing"}
            | {**ids, "name": name, "path": "nothing", "page": "nothing", "runbook": "nothing"}
        )
        found.setdefault(target, set()).update(map(str, route.methods))
    return {
        path: methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        for path, methods in found.items()
    }


def allowed(answer: httpx.Response) -> set[str]:
    (header,) = answer.headers.get_list("allow")
    return set(header.replace(" ", "").split(","))


def test_head_is_get_without_the_body_on_every_path(
    pair: Pair, targets: dict[str, set[str]]
) -> None:
    query = {"from": "2026-01-01", "to": "2026-02-01"}
    statuses = []
    for target in (path for path, methods in targets.items() if "GET" in methods):
        for call in (pair.owner.call, pair.owner.client.request):
            get, head = call("GET", target, params=query), call("HEAD", target, params=query)
            assert head.content == b"", target
            assert head.status_code == get.status_code, target
            assert head.headers.keys() - OF_THE_MOMENT == get.headers.keys() - OF_THE_MOMENT, target
            for name in head.headers.keys() - OF_THE_MOMENT:
                assert head.headers[name] == get.headers[name], f"{target}: {name}"
            statuses.append(get.status_code)
    assert statuses.count(200) > 15
    assert statuses.count(401) > 10


def test_head_gives_the_length_that_get_would_have(api: httpx.Client) -> None:
    get = api.get("/health/live")
    assert api.head("/health/live").headers["content-length"] == str(len(get.content))


def test_options_names_the_methods_of_every_path_whoever_asks(
    pair: Pair, targets: dict[str, set[str]]
) -> None:
    for target, methods in targets.items():
        for call in (pair.owner.call, pair.owner.client.request):
            answer = call("OPTIONS", target)
            assert answer.status_code in (204, 400, 401), target
            assert allowed(answer) == methods, target
        assert pair.owner.call("OPTIONS", target).status_code == 204 or "webhook" in target


def test_every_other_method_is_a_405_that_names_the_right_ones(
    pair: Pair, targets: dict[str, set[str]]
) -> None:
    for target, methods in targets.items():
        for method in METHODS - methods:
            answer = pair.owner.call(method, target)
            assert answer.status_code == 405, f"{method} {target}"
            assert allowed(answer) == methods, f"{method} {target}"


def test_head_and_options_keep_the_guards_of_every_path(
    application: Litestar, pair: Pair, people: People, targets: dict[str, set[str]]
) -> None:
    somebody = people.new("USER")
    closed = 0
    ids = pair.owned.ids
    for found in routes(application):
        roles = [guard.roles for guard in found.handler.resolve_guards() if hasattr(guard, "roles")]
        if (
            found.name.startswith("GET ")
            and roles
            and Role.USER not in frozenset.intersection(*roles)
        ):
            target = found.name.removeprefix("GET ").format(**ids)
            assert somebody.call("HEAD", target).status_code == 403, target
            closed += 1
    assert closed > 8
    assert assert_status(somebody, "OPTIONS", f"{ADMIN}/users", 403)
    assert assert_status(somebody, "OPTIONS", f"{PAYMENTS}/export", 403)


def assert_status(actor: Actor, method: str, path: str, status: int) -> bool:
    return actor.call(method, path).status_code == status


@pytest.mark.anyio
async def test_head_counts_against_the_limit_as_get_does(in_process: InProcess, pair: Pair) -> None:
    path = f"{PAYMENTS}/status/{pair.owned.reference_id}"
    async with in_process(rate_limits=True, rate_limit_status="1/minute") as client:
        assert (await client.head(path)).status_code == 200
        assert (await client.head(path)).status_code == 429
        assert (await client.get(path)).status_code == 429


@pytest.mark.anyio
async def test_a_stream_that_nobody_reads_ends_at_once() -> None:
    chunks = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal chunks
        while True:
            chunks += 1
            yield b"x" * 1000
            await asyncio.sleep(0)  # as where rows are read

    @get("/", sync_to_thread=False)
    def export() -> Stream:
        return Stream(endless(), media_type="text/csv")

    app = Litestar([export], openapi_config=None, logging_config=None)
    log = AccessLog("ERROR", LogStream(TextIOWrapper(BytesIO())))
    app.asgi_handler = RequestLayer(app, log, SecurityHeaders(), body_seconds=30, send_seconds=30)
    # Litestar names the messages of ASGI one by one; httpx knows them as mappings.
    transport = httpx.ASGITransport(cast(Any, app))
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(transport=transport, base_url="http://in-process") as client,
    ):
        answer = await client.head("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert 1 <= chunks < 10


def test_the_log_and_the_metrics_know_head_from_get(api_server: Api) -> None:
    with Wire(api_server.port) as wire:
        answer = wire.ask("HEAD", f"{USERS}/profile", [("X-Request-ID", "head-in-the-log")])
        assert answer.status == 401
        assert wire.ask("GET", "/health/live").status == 200, "the connection goes on"
    named = {"request_id": "head-in-the-log"}
    eventually(lambda: api_server.log_entries("request", **named))
    (line,) = api_server.log_entries("request", **named)
    assert line["method"] == "HEAD"


def test_a_problem_is_still_one_under_another_method(api: httpx.Client) -> None:
    assert_problem(api.request("DELETE", f"{USERS}/profile"), 405, code="method_not_allowed")
