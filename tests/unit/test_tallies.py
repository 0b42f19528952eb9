"""What hot paths count reaches the counters, and lost leases are seen."""

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from kernapay.core.metrics import Counter, Tally, exposition
from kernapay.storage.cache import Room
from tests.unit.conftest import OpenCache
from tests.unit.source import ADDRESS, Source

TTL = 100
_TALLIED = Tally(Counter("kernapay_tallied_total", "For a test", ("name",)))


def test_a_tally_reaches_its_counter_once() -> None:
    _TALLIED.counts["a",] += 2
    _TALLIED.counts["b",] += 1
    for _ in range(2):
        Tally.publish()
    text = exposition().decode()
    assert 'kernapay_tallied_total{name="a"} 2.0' in text
    assert 'kernapay_tallied_total{name="b"} 1.0' in text


def fills(outcome: str) -> float:
    Tally.publish()
    labels = {"entry": ADDRESS.key.partition(":")[0], "outcome": outcome}
    return REGISTRY.get_sample_value("kernapay_cache_fills_total", labels) or 0.0


@pytest.mark.anyio
async def test_a_lease_that_an_eviction_took_is_counted(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    before = fills("lease_lost"), fills("stored")
    async with open_cache() as cache:

        async def read_while_somebody_writes() -> bytes:
            await cache.evict(ADDRESS.key)
            return b"old"

        assert await cache.fetch(ADDRESS, TTL, read_while_somebody_writes) == b"old"
        assert (fills("lease_lost"), fills("stored")) == (before[0] + 1, before[1])
        assert await cache.fetch(ADDRESS, TTL, Source(7).read) == b"7"
        assert (fills("lease_lost"), fills("stored")) == (before[0] + 1, before[1] + 1)


@pytest.mark.anyio
async def test_a_value_that_is_too_large_and_one_that_is_missing_are_no_lost_leases(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    before = fills("lease_lost"), fills("too_large")

    async def find_nothing() -> None:
        return None

    async with open_cache() as cache:
        room = Room(bytes_per_field=2)
        assert await cache.fetch(ADDRESS, TTL, Source(1000).read, room) == b"1000"
        assert await cache.fetch(ADDRESS, TTL, find_nothing) is None
    assert (fills("lease_lost"), fills("too_large")) == (before[0], before[1] + 1)
