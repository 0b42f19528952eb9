"""Books of their own: what these tests compare must not hold what other tests left behind.

The processes end with the tests of this folder: an API that nobody asks is not idle, as it looks after its stores.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kernapay.bootstrap.services import Services
from kernapay.devstack.servers import MongoServer
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.databases import open_migrated_store
from tests.environment import api_environment, settings_from
from tests.money.desk import Desk, Gateway
from tests.money.shop import Shop
from tests.stack import Api, Sandbox, SandboxServer

_COLLECTIONS = (
    "payments",
    "webhook_events",
    "reconciliation_reports",
    "reconciliation_findings",
    "settlements",
    "settlement_rows",
    "settlement_sums",
    "settlement_days",
    "insight_holds",
)


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    return mongo_server.database_url("money")


@pytest.fixture(scope="session")
def store(mongo_url: str) -> Iterator[Store]:
    with open_migrated_store(mongo_url) as database:
        yield database


@pytest.fixture(scope="package")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with SandboxServer(tmp_path_factory.mktemp("sandbox")) as server:
        yield server


@pytest.fixture(scope="package")
def api_env(
    mongo_url: str,
    redis_url: str,
    sandbox_server: SandboxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    return api_environment(
        mongo_url,
        redis_url,
        sandbox_server.url,
        tmp_path_factory.mktemp("files"),
        RECONCILE_AFTER="1s",
        RECONCILE_RATE="500",
    )


@pytest.fixture(scope="package")
def api_server(
    api_env: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("money_api"), api_env) as server:
        yield server


@pytest.fixture
def shop(
    sandbox: Sandbox,
    api_env: dict[str, str],
    store: Store,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """Both books, empty at the start, and everybody who works on them."""
    sandbox.call("POST", "/_sandbox/reset")
    for name in _COLLECTIONS:
        store[name].delete_many({})
    with ExitStack() as closing:
        yield Shop(sandbox, api_env, store, tmp_path_factory.mktemp("shop"), closing)


@pytest.fixture
def late_payments() -> str:
    """The setting LATE_PAYMENTS of `desk`."""
    return "refund"


@pytest.fixture
async def desk(
    mongo_url: str, redis_url: str, store: Store, tmp_path: Path, late_payments: str
) -> AsyncIterator[Desk]:
    """The services in this process, with a gateway in memory; nothing of other tests is due."""
    for name in _COLLECTIONS:
        await asyncio.to_thread(store[name].delete_many, {})
    clock = FrozenClock()
    gateway = Gateway(clock)
    env = api_environment(mongo_url, redis_url, "http://127.0.0.1:1", tmp_path)
    settings = settings_from(env, late_payments=late_payments, reconcile_rate=1000)
    services = Services(settings, clock=clock, gateway=gateway)
    await services.open()
    yield Desk(services, gateway, clock)
    await services.close()
