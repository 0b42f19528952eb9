import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from pymongo.database import Database
from redis import Redis

from kernapay.app import create_app
from kernapay.bootstrap.services import Services
from kernapay.config.settings import load_settings
from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database
from tests import secrecy
from tests.actors import Actor, People
from tests.clusters.nodes import RedisNode
from tests.stack import (
    JWT_SECRET,
    KEY_ID,
    KEY_SECRET,
    LIVE_KEY_ID,
    LIVE_KEY_SECRET,
    PREVIOUS_WEBHOOK_SECRET,
    WEBHOOK_SECRET,
    Api,
    Sandbox,
    Server,
    Worker,
)
from tests.tripwire import tripwire


@pytest.fixture(autouse=True)
def _no_database_on_the_event_loop() -> Iterator[None]:
    tripwire.tripped.clear()
    yield
    assert tripwire.tripped == [], "MongoDB commands were started on the event loop"


@pytest.fixture(scope="session", autouse=True)
def _nothing_confidential_was_written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Started first, so that it ends last: when every process of the run has ended."""
    yield
    leaks = list(secrecy.leaks(tmp_path_factory.getbasetemp()))
    if leaks:
        pytest.fail("\n".join([f"{len(leaks)} leaks:", *leaks[:20]]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    secrecy.captured.extend(text for _, text in report.sections)
    return report


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests carry `pytest.mark.anyio`."""
    return "asyncio"


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MongoServer, RedisNode]]:
    home = tmp_path_factory.mktemp("servers")
    mongo, redis = MongoServer(home / "mongo"), RedisNode(home / "redis")
    try:
        # Launched together, so that the session waits for the slower one only.
        mongo.launch()
        redis.launch()
        redis.wait_ready()
        mongo.wait_ready()
        yield mongo, redis
    finally:
        redis.kill()
        mongo.kill()


@pytest.fixture(scope="session")
def mongo_server(_servers: tuple[MongoServer, RedisNode]) -> MongoServer:
    """A mongod (a replica set of one) of this test worker; leave it running."""
    return _servers[0]


@pytest.fixture(scope="session")
def redis_server(_servers: tuple[MongoServer, RedisNode]) -> RedisNode:
    """A Valkey server of this test worker; leave it running."""
    return _servers[1]


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    """The URL of this worker's mongod, with a database of its own."""
    return mongo_server.database_url(f"kernapay_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisNode) -> str:
    """The URL of this worker's Valkey server."""
    return redis_server.url


@pytest.fixture(scope="session")
def fresh_database() -> Callable[[], str]:
    """Give a new database name; with `mongo_server.database_url(name)` it becomes a URL."""
    numbers = count(1)
    return lambda: f"fresh_{next(numbers)}"


@pytest.fixture(scope="session")
def store(mongo_url: str) -> Iterator[Database[dict[str, Any]]]:
    """This worker's database, migrated: to look behind the API. Not from an event loop."""
    client, database = open_database(mongo_url)
    Migrator(database).up()
    yield database
    client.close()


@pytest.fixture(scope="session")
def redis_client(redis_server: RedisNode) -> Iterator[Redis]:
    """This worker's Valkey server: to look behind the API."""
    with redis_server.client() as client:
        yield client


@pytest.fixture(scope="session")
def _sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        "sandbox",
        tmp_path_factory.mktemp("sandbox"),
        ["kernapay.sandbox"],
        {"SANDBOX_KEYS": f"{KEY_ID}:{KEY_SECRET},{LIVE_KEY_ID}:{LIVE_KEY_SECRET}"},
        "/_sandbox/health",
    )
    try:
        yield server.launch()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def api_env(mongo_url: str, redis_url: str, _sandbox_server: Server) -> dict[str, str]:
    """The environment of an API of this worker."""
    return {
        "APP_ENV": "test",
        "MONGODB_URL": mongo_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": JWT_SECRET,
        "SALT_ROUNDS": "4",
        "RAZORPAY_KEY_ID": KEY_ID,
        "RAZORPAY_KEY_SECRET": KEY_SECRET,
        "RAZORPAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "RAZORPAY_WEBHOOK_SECRET_PREVIOUS": PREVIOUS_WEBHOOK_SECRET,
        "RAZORPAY_BASE_URL": _sandbox_server.url,
        "RAZORPAY_TIMEOUT": "5s",
        "RATE_LIMITS": "false",
    }


@pytest.fixture(scope="session")
def api_server(
    api_env: dict[str, str],
    store: Database[dict[str, Any]],
    _sandbox_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """The API of this worker as a real process, beside its sandbox; leave it running."""
    server = Api(tmp_path_factory.mktemp("api"), api_env)
    try:
        server.launch()
        _sandbox_server.wait()
        yield server.wait()
    finally:
        server.kill()
    _assert_clean(server)


def _assert_clean(server: Api) -> None:
    unforeseen = [entry.get("exception") for entry in server.log_entries("unhandled_error")]
    assert not unforeseen, unforeseen[0]


@pytest.fixture(scope="session")
def second_api(
    api_env: dict[str, str], api_server: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """Another process of the same service, with two workers; leave it running."""
    server = Api(tmp_path_factory.mktemp("api"), api_env, workers=2)
    try:
        yield server.launch().wait()
    finally:
        server.kill()
    _assert_clean(server)


@pytest.fixture
def api(api_server: Api) -> httpx.Client:
    """A client of this worker's API."""
    return api_server.client


@pytest.fixture
def sandbox(api_server: Api, _sandbox_server: Server) -> Iterator[Sandbox]:
    """The gateway of this worker's APIs. Faults, clock and webhooks are as before when the test ends."""
    sandbox = Sandbox(_sandbox_server.url)
    yield sandbox
    sandbox.clear()
    sandbox.client.close()


@pytest.fixture
def start_api(
    api_env: dict[str, str],
    store: Database[dict[str, Any]],
    _sandbox_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Api]]:
    """Start further APIs: `start_api(VARIABLE="value")` changes their environment, `workers=2` makes more."""
    started: list[Api] = []

    def start(*, workers: int = 1, **env: str) -> Api:
        server = Api(tmp_path_factory.mktemp("api"), {**api_env, **env}, workers=workers)
        started.append(server)
        return server.launch().wait()

    yield start
    for server in started:
        server.kill()
    for server in started:
        _assert_clean(server)


@pytest.fixture
def start_worker(
    api_env: dict[str, str],
    store: Database[dict[str, Any]],
    _sandbox_server: Server,
    tmp_path: Path,
) -> Iterator[Callable[..., Worker]]:
    """Start workers: `start_worker(VARIABLE="value")`; stopped when the test ends."""
    started: list[Worker] = []

    def start(**env: str) -> Worker:
        started.append(Worker(tmp_path / f"worker-{len(started)}", {**api_env, **env}))
        return started[-1].start()

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def people(api: httpx.Client, store: Database[dict[str, Any]]) -> People:
    """Opens accounts: `people.new("ADMIN")` is signed in."""
    return People(api, store)


@pytest.fixture
def user(people: People) -> Actor:
    """A new signed-in USER."""
    return people.new("USER")


@pytest.fixture
def admin(people: People) -> Actor:
    """A new signed-in ADMIN."""
    return people.new("ADMIN")


class InProcessClient(httpx.AsyncClient):
    """A client of an application on the test's own event loop, so that its parts can be used as well."""

    def __init__(self, app: Litestar) -> None:
        super().__init__(
            transport=httpx.ASGITransport(app),
            base_url="http://in-process",
            event_hooks=secrecy.async_hooks(),
        )
        self.app = app


InProcess = Callable[..., AbstractAsyncContextManager[InProcessClient]]


@pytest.fixture
def in_process(api_env: dict[str, str], store: Database[dict[str, Any]]) -> InProcess:
    """Run the application in this process, one at a time, for tests that pass a collaborator.

    `async with in_process(clock=…, gateway=…, salt_rounds=4, …) as client`: the two are arguments of
    `Services`, everything else is a setting. `client.app.state.services` has the parts.
    """

    @asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[InProcessClient]:
        parts = {name: changes.pop(name) for name in ("clock", "gateway") if name in changes}
        given = {name.lower(): value for name, value in api_env.items()}
        settings = load_settings(None, **{**given, **changes})
        services = Services(settings, **parts)
        app = create_app(settings, services)
        app.state.services = services
        async with app.lifespan(), InProcessClient(app) as client:
            yield client

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests recorded as rows of a table."""
    reports = [
        report
        for found in terminalreporter.stats.values()
        for report in found
        if getattr(report, "when", None) == "call"
    ]
    properties = [p for report in reports for p in getattr(report, "user_properties", ())]
    for title in sorted({name for name, _ in properties if name.startswith("table: ")}):
        terminalreporter.section(title.removeprefix("table: "))
        for row in (row for name, row in properties if name == title):
            terminalreporter.line("  ".join(str(cell) for cell in row))
