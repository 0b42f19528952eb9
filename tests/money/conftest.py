"""Books of their own: what these tests compare must not hold what other tests left behind."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pymongo.database import Database

from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database
from tests.money.shop import Shop
from tests.stack import KEY_ID, KEY_SECRET, Api, Sandbox, Server

_COLLECTIONS = (
    "payments",
    "webhook_events",
    "reconciliation_reports",
    "reconciliation_findings",
)


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    return mongo_server.database_url("money")


@pytest.fixture(scope="session")
def store(mongo_url: str) -> Iterator[Database[dict[str, Any]]]:
    client, database = open_database(mongo_url)
    Migrator(database).up()
    yield database
    client.close()


@pytest.fixture(scope="session")
def _sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = {"SANDBOX_KEYS": f"{KEY_ID}:{KEY_SECRET}"}
    home = tmp_path_factory.mktemp("bank")
    server = Server("sandbox", home, ["kernapay.sandbox"], keys, "/_sandbox/health")
    try:
        yield server.launch()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def api_env(mongo_url: str, redis_url: str, _sandbox_server: Server) -> dict[str, str]:
    return {
        "APP_ENV": "test",
        "MONGODB_URL": mongo_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": "jwt-money-0d1f6c3e8a5b479288e1c0ffee42",
        "SALT_ROUNDS": "4",
        "RAZORPAY_KEY_ID": KEY_ID,
        "RAZORPAY_KEY_SECRET": KEY_SECRET,
        "RAZORPAY_WEBHOOK_SECRET": "whsec_tests_4f0c9a1be27d",
        "RAZORPAY_BASE_URL": _sandbox_server.url,
        "RAZORPAY_TIMEOUT": "2s",
        "RATE_LIMITS": "false",
        "RECONCILE_AFTER": "1s",
        "RECONCILE_RATE": "500",
    }


@pytest.fixture(scope="session")
def api_server(
    api_env: dict[str, str],
    store: Database[dict[str, Any]],
    _sandbox_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    server = Api(tmp_path_factory.mktemp("money_api"), api_env)
    try:
        server.launch()
        _sandbox_server.wait()
        yield server.wait()
    finally:
        server.kill()
    assert server.log_entries("unhandled_error") == []


@pytest.fixture
def shop(
    sandbox: Sandbox,
    api_env: dict[str, str],
    store: Database[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """Both books, empty at the start, and everybody who works on them."""
    sandbox.call("POST", "/_sandbox/reset")
    for name in _COLLECTIONS:
        store[name].delete_many({})
    with ExitStack() as closing:
        yield Shop(sandbox, api_env, store, tmp_path_factory.mktemp("shop"), closing)
