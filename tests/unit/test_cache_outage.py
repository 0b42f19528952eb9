"""The cache when Redis is down, hangs, comes back, or is not one server: slower, never wrong, never an error."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.redis import RedisStore
from tests.aliases import Store
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode, Proxy
from tests.clusters.topologies import RedisCluster, RedisSentinel
from tests.unit.conftest import OpenCache
from tests.unit.source import ADDRESS, SlowRead, Source
from tests.waiting import until

pytestmark = pytest.mark.anyio
TTL = 100


@pytest.fixture(scope="module")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNode]:
    server = RedisNode(tmp_path_factory.mktemp("redis"), options=("--appendfsync", "always"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def store(empty_database: Store) -> Store:
    """A database of each test's own: in the shared one, an API that runs would make the evictions, in its own Redis."""
    return empty_database


@pytest.fixture
def mongo(empty_database_url: str) -> Iterator[Mongo]:
    mongo = Mongo(empty_database_url, threads=4)
    mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
def redis(_redis: RedisNode) -> RedisNode:
    """A server of these tests' own, to be stopped and started; what it held, it holds again."""
    if not _redis.is_running:
        _redis.start()
    with _redis.client() as client:
        client.flushdb()
    return _redis


@pytest.fixture
def proxy(redis: RedisNode) -> Iterator[Proxy]:
    with Proxy(redis.port) as proxy:
        yield proxy


async def read(cache: Cache, source: Source) -> bytes | None:
    return await cache.fetch(ADDRESS, TTL, source.read)


async def timed(work: Awaitable[Any]) -> float:
    start = monotonic()
    await work
    return monotonic() - start


async def test_without_redis_every_read_goes_to_the_source(
    open_cache: OpenCache, redis: RedisNode
) -> None:
    source = Source(1)
    async with open_cache(redis.url) as cache:
        await read(cache, source)
        redis.kill()
        source.value = 2
        assert await read(cache, source) == b"2"
        source.value = 3
        assert await read(cache, source) == b"3"
        assert not cache.is_up
        assert await cache.peek(ADDRESS) == [None]


async def test_marks_are_forgotten_without_redis_and_nobody_is_told(
    open_cache: OpenCache, redis: RedisNode
) -> None:
    async with open_cache(redis.url) as cache:
        redis.kill()
        await cache.mark("webhook_event:1", timedelta(hours=1))
        assert not await cache.is_marked("webhook_event:1")


async def test_a_service_may_start_before_its_redis(
    open_cache: OpenCache, redis: RedisNode
) -> None:
    redis.kill()
    source = Source(1)
    async with open_cache(redis.url) as cache:
        assert not cache.is_up
        assert await read(cache, source) == b"1"
        await asyncio.to_thread(redis.start)
        await until(lambda: cache.is_up)
        await read(cache, source)
        await read(cache, source)
        assert source.reads == 2


async def test_what_was_dropped_while_redis_was_down_is_not_served_when_it_returns(
    open_cache: OpenCache, redis: RedisNode, store: Store
) -> None:
    """The server comes back with its old data; the drop was kept in MongoDB meanwhile."""
    source = Source(1)
    async with open_cache(redis.url) as cache:
        await read(cache, source)
        redis.kill()
        source.value = 2
        await cache.evict(ADDRESS.key)
        pending = await asyncio.to_thread(lambda: list(store.cache_drops.find({}, {"_id": 0})))
        assert pending == [{"key": ADDRESS.key}]
        await asyncio.to_thread(redis.start)
        with redis.client() as client:
            assert client.hget(*ADDRESS) == "1", "the old value is there again"
        await until(lambda: cache.is_up)
        assert await read(cache, source) == b"2"
        assert await asyncio.to_thread(store.cache_drops.count_documents, {}) == 0


async def test_a_drop_outlives_the_process_that_could_not_carry_it_out(
    open_cache: OpenCache, redis: RedisNode, proxy: Proxy, store: Store
) -> None:
    source = Source(1)
    async with open_cache(proxy.redis_url) as doomed:
        await read(doomed, source)
        proxy.set(Mode.CUT)
        source.value = 2
        await doomed.evict(ADDRESS.key)
    async with open_cache(redis.url) as next_process:
        assert await next_process.peek(ADDRESS) == [None]
        assert await read(next_process, source) == b"2"


async def test_a_value_computed_during_the_outage_is_not_stored_afterwards(
    open_cache: OpenCache, redis: RedisNode, proxy: Proxy
) -> None:
    """Its reader saw no lease, so nothing could have told it of a drop."""
    source = Source(1)
    slow = SlowRead(source)
    async with open_cache(proxy.redis_url) as cache:
        proxy.set(Mode.CUT)
        await cache.peek(ADDRESS)
        reading = asyncio.create_task(cache.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        source.value = 2
        await cache.evict(ADDRESS.key)
        proxy.set(Mode.PASS)
        await until(lambda: cache.is_up)
        slow.finish()
        assert await reading == b"1"
        assert await cache.peek(ADDRESS) == [None]
        assert await read(cache, source) == b"2"


async def test_a_hanging_redis_delays_the_first_callers_only_a_little(
    open_cache: OpenCache, proxy: Proxy
) -> None:
    source = Source(1)
    async with open_cache(proxy.redis_url) as cache:
        await read(cache, source)
        proxy.set(Mode.HANG)
        together = [timed(read(cache, source)) for _ in range(40)]
        assert max(await asyncio.gather(*together)) < 2.5
        assert not cache.is_up
        assert await timed(read(cache, source)) < 0.2, "from now on Redis is not asked"
        assert await timed(cache.evict(ADDRESS.key)) < 0.5
        proxy.set(Mode.PASS)
        await until(lambda: cache.is_up)
        assert await read(cache, source) == b"1"


async def test_a_slow_redis_is_still_used(open_cache: OpenCache, proxy: Proxy) -> None:
    source = Source(1)
    async with open_cache(proxy.redis_url) as cache:
        proxy.set(Mode.LATENCY, 0.02)
        await read(cache, source)
        await read(cache, source)
        assert source.reads == 1
        assert cache.is_up


async def test_without_redis_and_mongodb_a_drop_is_refused_not_forgotten(
    redis: RedisNode,
) -> None:
    """Whoever wrote has to hear that old answers may live on."""

    class NowhereToKeep:
        async def add(self, keys: object) -> None:
            raise ConnectionError("the database is gone too")

        async def drain(self, evict: Callable[[str], Awaitable[object]]) -> None:
            return None

    store = RedisStore(redis.url)
    cache = Cache(store, NowhereToKeep())
    await cache.start()
    try:
        redis.kill()
        with pytest.raises(ConnectionError):
            await cache.evict(ADDRESS.key)
    finally:
        await cache.close()
        await store.close()


async def test_closing_ends_although_a_cancellation_was_lost(redis: RedisNode) -> None:
    class LosesACancellation:
        """As `asyncio.wait_for` does before Python 3.12 when it comes as the awaited call ends."""

        def __init__(self) -> None:
            self.is_checking = asyncio.Event()
            self.calls = 0

        async def add(self, keys: object) -> None:
            raise AssertionError("nothing was evicted")

        async def drain(self, evict: Callable[[str], Awaitable[object]]) -> None:
            self.calls += 1
            if self.calls == 2:  # the first is the start, the second the check
                self.is_checking.set()
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)

    store = RedisStore(redis.url)
    pending = LosesACancellation()
    cache = Cache(store, pending)
    await cache.start()
    try:
        await pending.is_checking.wait()
        async with asyncio.timeout(30):
            await cache.close()
        assert pending.calls == 2
    finally:
        await store.close()


async def use(cache: Cache, url: str) -> None:
    """Do everything the cache does, on keys of different nodes."""
    assert cache.is_up
    addresses = [ADDRESS._replace(key=f"thing:{number}") for number in range(20)]
    source = Source(1)
    another = RedisStore(url)
    await another.set(addresses[0].key, b"of another program", timedelta(minutes=1))
    await another.close()
    for address in addresses:
        assert await cache.fetch(address, TTL, source.read) == b"1"
    assert await cache.peek(*addresses) == [b"1"] * 20
    together = [cache.fetch(address, TTL, source.read) for address in addresses]
    assert await asyncio.gather(*together) == [b"1"] * 20
    assert source.reads == 20
    await cache.evict(*(address.key for address in addresses))
    assert await cache.peek(*addresses) == [None] * 20
    await cache.mark("webhook_event:1", timedelta(minutes=1))
    assert await cache.is_marked("webhook_event:1")
    assert cache.is_up, "no part of it failed on the way"


async def test_the_cache_works_on_a_cluster(open_cache: OpenCache, cluster: RedisCluster) -> None:
    async with open_cache(cluster.url) as cache:
        await use(cache, cluster.url)
    held = []
    for node in cluster.nodes:
        with node.client() as client:
            held.append(client.dbsize())
    assert sum(held) == 1, "the mark alone is left"


async def test_the_cache_follows_sentinel_to_the_new_master(
    open_cache: OpenCache, sentinel: RedisSentinel
) -> None:
    source = Source(1)
    async with open_cache(sentinel.url) as cache:
        await use(cache, sentinel.url)
        await cache.fetch(ADDRESS, TTL, source.read)
        await asyncio.to_thread(sentinel.failover)
        source.value = 2
        await cache.evict(ADDRESS.key)
        assert await read(cache, source) == b"2"
        await until(lambda: cache.is_up)
        assert await read(cache, source) == b"2"
        source.value = 3
        await cache.evict(ADDRESS.key)
        assert await read(cache, source) == b"3"
        assert await cache.peek(ADDRESS) == [b"3"]
