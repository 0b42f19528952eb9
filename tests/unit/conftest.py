from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis import Redis

from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from tests.aliases import Store

OpenCache = Callable[..., AbstractAsyncContextManager[Cache]]


@pytest.fixture
def mongo(mongo_url: str) -> Iterator[Mongo]:
    """This process's connection, as the service has it."""
    mongo = Mongo(mongo_url, threads=4)
    mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
def empty_redis(redis_client: Redis) -> Redis:
    redis_client.flushdb()
    return redis_client


@pytest.fixture
def open_cache(mongo: Mongo, redis_url: str, store: Store) -> OpenCache:
    """Open a cache, as one process has it: `async with open_cache() as cache`."""
    store.cache_drops.delete_many({})

    @asynccontextmanager
    async def opened(url: str = redis_url, kind: type[Cache] = Cache) -> AsyncIterator[Cache]:
        redis = RedisStore(url)
        cache = kind(redis, MongoPendingEvictions(mongo))
        await cache.start()
        try:
            yield cache
        finally:
            await cache.close()
            await redis.close()

    return opened
