"""The limiter over Redis in all its forms, and over Redis that hangs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from limits import RateLimitItem, parse_many

from kernapay.security.addresses import ClientAddresses
from kernapay.security.rate_limits import RateLimiter, Verdict
from kernapay.security.rate_windows import LocalWindows, Subject
from kernapay.storage.cache import Cache
from kernapay.storage.redis import RedisStore
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode, Proxy
from tests.clusters.topologies import RedisCluster, RedisSentinel

pytestmark = pytest.mark.anyio
LIMITS = {"things": parse_many("5/hour"), "steps": parse_many("3/hour;5/day"), "nothing": []}
DAY_ONLY = {"steps": parse_many("5/day")}


class NoEvictions:
    """These tests evict nothing from the cache."""

    async def add(self, keys: Sequence[str]) -> None:
        raise AssertionError(keys)

    async def drain(self, evict: Callable[[str], Awaitable[object]]) -> None:
        return None


@asynccontextmanager
async def limiter(
    url: str, limits: Mapping[str, Sequence[RateLimitItem]] = LIMITS
) -> AsyncIterator[RateLimiter]:
    redis = RedisStore(url)
    cache = Cache(redis, NoEvictions())
    await cache.start()
    try:
        yield RateLimiter(cache, redis, limits, b"key of the tests", ClientAddresses())
    finally:
        await cache.close()
        await redis.close()


async def admitted(limiter: RateLimiter, name: str, subject: str, times: int) -> int:
    verdicts = await asyncio.gather(*(limiter.hit(name, subject) for _ in range(times)))
    return sum(verdict.admitted for verdict in verdicts if verdict is not None)


async def test_verdicts_say_what_is_left(redis_url: str) -> None:
    async with limiter(redis_url) as mine:
        assert await mine.look("things", "counted") == Verdict(True, 5, 5, 0, 1)
        first = await mine.hit("things", "counted")
        assert first is not None
        assert (first.admitted, first.limit, first.remaining) == (True, 5, 4)
        assert 3595 <= first.reset <= 3600
        assert await admitted(mine, "things", "counted", 10) == 4
        refused = await mine.look("things", "counted")
        assert refused is not None
        assert (refused.admitted, refused.remaining) == (False, 0)
        assert 3595 <= refused.wait <= 3600
        assert await mine.hit("nothing", "counted") is None
        assert await mine.hit("unheard of", "counted") is None


async def test_the_strictest_of_several_windows_speaks(redis_url: str) -> None:
    async with limiter(redis_url) as mine:
        assert await admitted(mine, "steps", "stepper", 3) == 3
        refused = await mine.look("steps", "stepper")
        assert refused is not None
        assert (refused.admitted, refused.limit) == (False, 3)
        assert refused.wait <= 3600
        async with limiter(redis_url, DAY_ONLY) as other:
            assert await admitted(other, "steps", "stepper", 3) == 2
        longer = await mine.look("steps", "stepper")
        assert longer is not None
        assert longer.wait > 80_000


async def test_what_a_short_window_refuses_uses_up_nothing_of_a_longer_one(redis_url: str) -> None:
    async with limiter(redis_url) as mine, limiter(redis_url, DAY_ONLY) as other:
        assert await admitted(mine, "steps", "in a hurry", 20) == 3
        day = await other.look("steps", "in a hurry")
        assert day is not None
        assert day.remaining == 2


async def test_nor_while_redis_is_away() -> None:
    windows, subject = LocalWindows(), Subject.of("in a hurry", parse_many("3/hour;5/day"))
    taken = [await windows.take(subject) for _ in range(20)]
    assert [len(each) for each in taken] == [2] * 3 + [1] * 17
    hour, day = [await windows.look(each) for each in subject.windows]
    assert (hour.current, day.current) == (3, 3)


async def test_two_limiters_over_a_cluster_count_together(cluster: RedisCluster) -> None:
    async with limiter(cluster.url) as one, limiter(cluster.url) as other:
        for number in range(20):  # on all the nodes
            subject = f"subject {number}"
            counts = await asyncio.gather(
                admitted(one, "things", subject, 4), admitted(other, "things", subject, 4)
            )
            assert sum(counts) == 5


async def test_counting_goes_on_after_sentinel_named_another_master(
    sentinel: RedisSentinel,
) -> None:
    async with limiter(sentinel.url) as mine:
        assert await admitted(mine, "things", "before", 7) == 5
        await asyncio.to_thread(sentinel.failover)
        assert await admitted(mine, "things", "after", 7) == 5


async def test_a_redis_that_hangs_delays_once_and_fails_nothing(
    redis_server: RedisNode,
) -> None:
    with Proxy(redis_server.port) as proxy:
        async with limiter(f"redis://{proxy.address}/0") as mine:
            assert await mine.hit("things", "patient") is not None
            proxy.set(Mode.HANG)
            started = monotonic()
            assert await admitted(mine, "things", "hung", 8) == 5
            assert monotonic() - started < 5
            started = monotonic()
            assert await admitted(mine, "things", "hung", 3) == 0
            assert monotonic() - started < 0.5, "Redis is left alone for a while"
