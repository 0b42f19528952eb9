import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from redis import Redis

from kernapay.app import create_app
from kernapay.bootstrap.services import Services
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unavailable
from kernapay.devstack.servers import MongoServer
from kernapay.gateway.base import PaymentGateway
from tests import command_line, secrecy
from tests.actors import Actor, People
from tests.aliases import Json, Store, json_of
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Proxy
from tests.clusters.topologies import RedisCluster, RedisSentinel
from tests.command_line import RunKernapay
from tests.databases import FRESH, forget_payments, open_migrated_store, open_store
from tests.environment import REQUIRED, api_environment, settings_from
from tests.in_process import InProcess, InProcessClient
from tests.query_recorder import recorder
from tests.scheduling import FilesTogether
from tests.servers import Kept, Servers, start_servers
from tests.stack import (
    PREVIOUS_WEBHOOK_SECRET,
    Api,
    Sandbox,
    SandboxServer,
    StartApi,
    StartWorker,
    Worker,
    end,
)
from tests.temporary_files import use_memory
from tests.tripwire import tripwire

# While modules are imported and tests collected, nothing becomes garbage: every collection would look at all in vain.
gc.disable()
use_memory()
# A shell lets what it starts in the background ignore it, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The folders whose tests try every route, or start processes of their own.
_LONG = ("tests/attacks/", "tests/clusters/", "tests/journeys/")
DATABASE = f"kernapay_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of these kinds as long, before those that were asked for are chosen."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()) or item.nodeid.startswith(_LONG):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    return FilesTogether(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let later collections of garbage skip the tests and what they have imported."""
    gc.collect()
    gc.freeze()
    gc.enable()


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


def _claims_in(base: Path) -> Callable[[str], bool]:
    """Return a function that is true for each text in one test worker only. The workers' folders lie side by side."""
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "claims"
    folder.mkdir(exist_ok=True)

    def claim(text: str) -> bool:
        try:
            (folder / sha256(text.encode()).hexdigest()).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    return claim


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if Kept.servers is not None:
        Kept.servers.empty()
        yield Kept.servers
        return
    with (
        start_servers(tmp_path_factory.mktemp("servers")) as servers,
        open_store(servers.mongo.database_url(DATABASE)) as database,
    ):
        recorder.watch(database)
        yield servers
        recorder.collect_rest()
        if offences := recorder.judge(_claims_in(tmp_path_factory.getbasetemp())):
            title = f"{len(offences)} kinds of queries that no index serves:"
            pytest.fail("\n".join([title, *offences]), pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def _queries_are_noted(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    recorder.collect(request.module.__name__)


@pytest.fixture(scope="session")
def mongo_server(_servers: Servers) -> MongoServer:
    """A mongod (a replica set of one) of this test worker; leave it running."""
    return _servers.mongo


@pytest.fixture(scope="session")
def redis_server(_servers: Servers) -> RedisNode:
    """A Valkey server of this test worker; leave it running."""
    return _servers.redis


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    """The URL of this worker's mongod, with a database of its own."""
    return mongo_server.database_url(DATABASE)


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisNode) -> str:
    """The URL of this worker's Valkey server."""
    return redis_server.url


@pytest.fixture(scope="session")
def fresh_database() -> Callable[[], str]:
    """Return a new database name; with `mongo_server.database_url(name)` it becomes a URL."""
    numbers = count(1)
    return lambda: f"{FRESH}{next(numbers)}"


@pytest.fixture(scope="session")
def store(mongo_url: str) -> Iterator[Store]:
    """This worker's database, migrated: to look behind the API. Not from an event loop."""
    with open_migrated_store(mongo_url) as database:
        yield database


@pytest.fixture
def empty_database_url(
    request: pytest.FixtureRequest, mongo_server: MongoServer, fresh_database: Callable[[], str]
) -> Iterator[str]:
    """The URL of a database without migrations; it is dropped when the test ends."""
    url = mongo_server.database_url(fresh_database())
    yield url
    with open_store(url) as database:
        recorder.collect(request.module.__name__, database)
        database.client.drop_database(database.name)


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Store]:
    """The database at `empty_database_url`."""
    with open_store(empty_database_url) as database:
        yield database


@pytest.fixture(scope="session")
def redis_client(redis_server: RedisNode) -> Iterator[Redis]:
    """This worker's Valkey server: to look behind the API."""
    with redis_server.client() as client:
        yield client


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """A Redis master with a replica, behind three sentinels."""
    with RedisSentinel(tmp_path_factory.mktemp("sentinel")) as sentinel:
        yield sentinel


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of three masters."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def mongo_proxy(mongo_server: MongoServer) -> Iterator[Proxy]:
    """A way to this worker's mongod that can be slowed down, held up and cut."""
    with Proxy(mongo_server.port) as proxy:
        yield proxy


@pytest.fixture
def redis_proxy(redis_server: RedisNode) -> Iterator[Proxy]:
    """A way to this worker's Valkey server that can be slowed down, held up and cut."""
    with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """The sandbox of this worker, launched; leave it running."""
    server = SandboxServer(tmp_path_factory.mktemp("sandbox"))
    try:
        yield server.launch()
    finally:
        server.end()


@pytest.fixture(scope="session")
def api_env(
    mongo_url: str,
    redis_url: str,
    sandbox_server: SandboxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The environment of an API of this worker."""
    return api_environment(
        mongo_url,
        redis_url,
        sandbox_server.url,
        tmp_path_factory.mktemp("files"),
        RAZORPAY_TIMEOUT="5s",
        RAZORPAY_WEBHOOK_SECRET_PREVIOUS=PREVIOUS_WEBHOOK_SECRET,
    )


@pytest.fixture(scope="session")
def api_server(
    api_env: dict[str, str],
    store: Store,
    sandbox_server: SandboxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """The API of this worker as a real process, beside its sandbox; leave it running."""
    with Api(tmp_path_factory.mktemp("api"), api_env) as server:
        sandbox_server.wait()
        yield server


@pytest.fixture(scope="module")
def second_api(
    api_env: dict[str, str], api_server: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """Another process of the same service, while the tests of a module run."""
    with Api(tmp_path_factory.mktemp("api"), api_env) as server:
        yield server


@pytest.fixture
def api(api_server: Api) -> httpx.Client:
    """A client of this worker's API."""
    return api_server.client


@pytest.fixture(scope="session")
def served_document(api_server: Api) -> Json:
    """The OpenAPI document that this worker's API serves."""
    return json_of(api_server.client.get("/docs/openapi.json"))


@pytest.fixture
def sandbox(api_server: Api, sandbox_server: SandboxServer) -> Iterator[Sandbox]:
    """The gateway of this worker's APIs; its faults, clock and webhooks are reset when the test ends."""
    with Sandbox(sandbox_server.url) as sandbox:
        yield sandbox
        sandbox.clear()


@pytest.fixture
def start_api(
    api_env: dict[str, str],
    store: Store,
    sandbox_server: SandboxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartApi]:
    """Start further APIs: `start_api(2, VARIABLE="value")` has two workers and another environment."""
    with ExitStack() as started:

        def start(workers: int = 1, /, **env: str) -> Api:
            server = Api(tmp_path_factory.mktemp("api"), {**api_env, **env}, workers=workers)
            return started.enter_context(server)

        yield start


@pytest.fixture
def start_worker(
    api_env: dict[str, str], store: Store, sandbox_server: SandboxServer, tmp_path: Path
) -> Iterator[StartWorker]:
    """Start workers: `start_worker(VARIABLE="value")`; killed when the test ends."""
    numbers = count()
    with ExitStack() as started:

        def start(**env: str) -> Worker:
            worker = Worker(tmp_path / f"worker-{next(numbers)}", {**api_env, **env})
            started.callback(end, worker)
            return worker.start()

        yield start


@pytest.fixture
def run_kernapay(api_env: dict[str, str], tmp_path: Path) -> RunKernapay:
    """Run `kernapay …` in an empty folder: `run_kernapay("audit", VARIABLE="value")`.

    The environment is that of this worker's API; None takes a variable away.
    """
    return lambda *arguments, **env: command_line.run_command(
        *arguments, env={**api_env, **env}, cwd=tmp_path
    )


@pytest.fixture(scope="session")
def application() -> Litestar:
    """The application as it would be served; nothing is connected."""
    return create_app(settings_from(REQUIRED))


@pytest.fixture
def people(api: httpx.Client, store: Store) -> People:
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


@pytest.fixture
def in_process(api_env: dict[str, str], store: Store) -> Iterator[InProcess]:
    """Run the application in this process, one at a time, for tests that pass a collaborator."""
    gateways: list[PaymentGateway] = []

    @asynccontextmanager
    async def run(
        *, clock: Clock = now, gateway: PaymentGateway | None = None, **changes: object
    ) -> AsyncIterator[InProcessClient]:
        settings = settings_from(api_env, **changes)
        services = Services(settings, clock=clock, gateway=gateway)
        gateways.extend([gateway] if gateway else [])
        app = create_app(settings, services)
        async with app.lifespan(), InProcessClient(app, services) as client:
            # On a busy machine, the start may not wait for it long enough.
            with suppress(Unavailable):
                await services.schema_watch.check()
            yield client

    yield run
    if gateways:
        forget_payments(store)


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
