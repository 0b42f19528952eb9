"""What hot paths count reaches the counters, and lost leases are seen."""

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from kernapay.core.metrics import (
    Counter,
    Histogram,
    HistogramTally,
    Tally,
    exposition,
    publish_tallies,
)
from kernapay.storage.cache import Room
from tests.unit.conftest import OpenCache
from tests.unit.source import ADDRESS, Source

TTL = 100
_TALLIED = Tally(Counter("kernapay_tallied_total", "For a test", ("name",)))


def test_a_tally_reaches_its_counter_once() -> None:
    _TALLIED.counts["a",] += 2
    _TALLIED.counts["b",] += 1
    for _ in range(2):
        publish_tallies()
    text = exposition().decode()
    assert 'kernapay_tallied_total{name="a"} 2.0' in text
    assert 'kernapay_tallied_total{name="b"} 1.0' in text


def test_a_tallied_histogram_shows_what_the_librarys_own_would() -> None:
    amounts = [0.0, 0.01, 0.010001, 0.1, 0.5, 3.0, 1e9]
    shown = []
    for number, kind in enumerate((Histogram, HistogramTally)):
        name = f"kernapay_observed_{number}"
        histogram = kind(name, "For a test", ("name",), buckets=(0.01, 0.1, 1))
        for amount in amounts:
            histogram.labels("a").observe(amount)
        for _ in range(2):
            publish_tallies()
        lines = exposition().decode().replace(name, "it").splitlines()
        shown.append(
            [each for each in lines if each.startswith(("it_bucket", "it_count", "it_sum"))]
        )
    assert shown[0] == shown[1]
    assert 'it_bucket{le="0.1",name="a"} 4.0' in shown[0]


def fills(outcome: str) -> float:
    publish_tallies()
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
