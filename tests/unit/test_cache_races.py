"""Readers and writers of two processes in any order: nobody is given less than the last completed write."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from redis import Redis

from kernapay.storage.cache import Cache, Room
from kernapay.storage.redis import Address
from tests.unit.conftest import OpenCache
from tests.unit.source import ADDRESS

pytestmark = pytest.mark.anyio
SEEDS = range(8)
STEPS = 150


_STORE = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])"


class Careless(Cache):
    """What the cache would be without its leases: whoever computed stores."""

    async def _compute(
        self,
        address: Address,
        lease: bytes,
        compute: Callable[[], Awaitable[bytes | None]],
        room: Room,
    ) -> bytes | None:
        value = await compute()
        await self._redis.script(_STORE)(keys=[address.key], args=[address.field, value])
        return value


@dataclass
class History:
    """A value that only grows, and every answer that was older than it may be."""

    value: int = 0
    completed: int = 0
    stale: list[tuple[int, int]] = field(default_factory=list)
    answers: int = 0


async def pause(chance: random.Random) -> None:
    for _ in range(chance.choice((0, 0, 1, 3, 10))):
        await asyncio.sleep(0)
    if chance.random() < 0.2:
        await asyncio.sleep(chance.random() / 500)


async def race(caches: list[Cache], seed: int) -> History:
    chance = random.Random(seed)
    history = History()

    async def compute() -> bytes:
        await pause(chance)
        seen = history.value
        await pause(chance)
        return b"%d" % seen

    async def reader(cache: Cache) -> None:
        for _ in range(STEPS):
            expected = history.completed
            answer = await cache.fetch(ADDRESS, 60, compute)
            history.answers += 1
            if int(answer or 0) < expected:
                history.stale.append((expected, int(answer or 0)))
            await pause(chance)

    async def writer(cache: Cache) -> None:
        for _ in range(STEPS):
            await pause(chance)
            history.value += 1
            written = history.value
            await cache.evict(ADDRESS.key)
            history.completed = max(history.completed, written)

    async with asyncio.TaskGroup() as tasks:
        for cache in caches:
            for _ in range(3):
                tasks.create_task(reader(cache))
            tasks.create_task(writer(cache))
    return history


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_answer_is_older_than_the_last_completed_write(
    open_cache: OpenCache, empty_redis: Redis, seed: int
) -> None:
    async with open_cache() as one, open_cache() as other:
        history = await race([one, other], seed)
    assert history.answers == 6 * STEPS
    assert history.stale == []


async def test_without_leases_this_race_is_lost(open_cache: OpenCache, empty_redis: Redis) -> None:
    """The race above is one: a cache that stores whatever was computed gives stale answers."""
    async with open_cache(kind=Careless) as one, open_cache(kind=Careless) as other:
        for seed in SEEDS:
            if (await race([one, other], seed)).stale:
                return
    pytest.fail("the race was never lost: it proves nothing")
