import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from kernapay.devstack.servers import MongoServer, RedisServer


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MongoServer, RedisServer]]:
    home = tmp_path_factory.mktemp("servers")
    mongo, redis = MongoServer(home / "mongo"), RedisServer(home / "redis")
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
def mongo_server(_servers: tuple[MongoServer, RedisServer]) -> MongoServer:
    """A mongod (a replica set of one) of this test worker; leave it running."""
    return _servers[0]


@pytest.fixture(scope="session")
def redis_server(_servers: tuple[MongoServer, RedisServer]) -> RedisServer:
    """A Valkey server of this test worker; leave it running."""
    return _servers[1]


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    """The URL of this worker's mongod, with a database of its own."""
    return mongo_server.database_url(f"kernapay_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    """The URL of this worker's Valkey server."""
    return redis_server.url


@pytest.fixture(scope="session")
def fresh_database() -> Callable[[], str]:
    """Give a new database name; with `mongo_server.database_url(name)` it becomes a URL."""
    numbers = count(1)
    return lambda: f"fresh_{next(numbers)}"
