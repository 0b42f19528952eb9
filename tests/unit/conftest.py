from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from kernapay.config.loading import ConfigurationError, load_settings
from kernapay.config.settings import Settings
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from tests.aliases import Store
from tests.environment import REQUIRED

OpenCache = Callable[..., AbstractAsyncContextManager[Cache]]
Load = Callable[..., Settings]
Problems = Callable[..., dict[str, str]]


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


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings from an environment that has these variables only."""
    monkeypatch.chdir(tmp_path)

    def load(environment: dict[str, str] = REQUIRED, **changes: str | None) -> Settings:
        with monkeypatch.context() as patch:
            for name in (*(field.upper() for field in Settings.model_fields), "NODE_ENV"):
                patch.delenv(name, raising=False)
            for name, value in {**environment, **changes}.items():
                if value is not None:
                    patch.setenv(name, value)
            return load_settings()

    return load


@pytest.fixture
def problems(load: Load) -> Problems:
    """Load settings that must be refused; what is said of each variable."""

    def problems(environment: dict[str, str] = REQUIRED, **changes: str | None) -> dict[str, str]:
        with pytest.raises(ConfigurationError) as caught:
            load(environment, **changes)
        _, *lines = str(caught.value).splitlines()
        return dict(line.strip().split(": ", 1) for line in lines)

    return problems
