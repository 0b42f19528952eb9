from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from pymongo.database import Database
from redis import Redis

from kernapay.devstack.servers import MongoServer
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo, open_database
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore

OpenCache = Callable[..., AbstractAsyncContextManager[Cache]]


@pytest.fixture
def mongo(mongo_url: str) -> Iterator[Mongo]:
    """This process's connection, as the service has it."""
    mongo = Mongo(mongo_url, threads=4)
    mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
def empty_database(
    mongo_server: MongoServer, fresh_database: Callable[[], str]
) -> Iterator[tuple[str, Database[dict[str, Any]]]]:
    """A database without migrations: its URL, and the database."""
    url = mongo_server.database_url(fresh_database())
    client, database = open_database(url)
    yield url, database
    client.drop_database(database.name)
    client.close()


@pytest.fixture
def empty_redis(redis_client: Redis) -> Redis:
    redis_client.flushdb()
    return redis_client


@pytest.fixture
def open_cache(mongo: Mongo, redis_url: str, store: Database[dict[str, Any]]) -> OpenCache:
    """Open a cache, as one process has it: `async with open_cache() as cache`."""
    store.cache_drops.delete_many({})

    @asynccontextmanager
    async def opened(url: str = redis_url, kind: type[Cache] = Cache) -> AsyncIterator[Cache]:
        cache = kind(RedisStore(url), MongoPendingEvictions(mongo))
        await cache.start()
        try:
            yield cache
        finally:
            await cache.close()

    return opened
