"""The cache against a real Valkey server."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from redis import Redis

from kernapay.storage.cache import Cache, Room
from kernapay.storage.cached import cached
from kernapay.storage.redis import Address
from tests.unit.conftest import OpenCache
from tests.unit.source import ADDRESS, SlowRead, Source

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("empty_redis")]
TTL = 100


async def read(cache: Cache, source: Source, address: Address = ADDRESS) -> bytes | None:
    return await cache.fetch(address, TTL, source.read)


async def test_a_second_read_does_not_ask_the_source(open_cache: OpenCache) -> None:
    source = Source(7)
    async with open_cache() as cache:
        assert await read(cache, source) == b"7"
        source.value = 8
        assert await read(cache, source) == b"7"
        assert source.reads == 1


async def test_what_one_process_stored_another_reads(open_cache: OpenCache) -> None:
    source = Source(7)
    async with open_cache() as one, open_cache() as other:
        await read(one, source)
        assert await read(other, source) == b"7"
        assert source.reads == 1


async def test_a_hit_is_the_stored_bytes_as_they_are(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    odd = '{"a" :  1, "b":"ü"}\n'.encode()
    empty_redis.hset(ADDRESS.key, ADDRESS.field, odd)
    async with open_cache() as cache:
        assert await read(cache, Source()) == odd


async def test_after_a_drop_the_source_is_asked_again(open_cache: OpenCache) -> None:
    source = Source(1)
    async with open_cache() as cache:
        await read(cache, source)
        source.value = 2
        await cache.evict(ADDRESS.key)
        assert await cache.peek(ADDRESS) == [None]
        assert await read(cache, source) == b"2"


async def test_a_drop_takes_every_field_of_the_entry(open_cache: OpenCache) -> None:
    source = Source()
    pages = [Address("pages:1", f"{page}:10") for page in range(3)]
    async with open_cache() as cache:
        for page in pages:
            await read(cache, source, page)
        assert await cache.peek(*pages) == [b"1", b"1", b"1"]
        await cache.evict("pages:1")
        assert await cache.peek(*pages) == [None, None, None]


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_slow_reader_cannot_put_back_what_a_writer_dropped(
    open_cache: OpenCache, processes: int
) -> None:
    """The race, forced: read old, write, drop, and only then try to store the old value."""
    source = Source(1)
    async with open_cache() as reader, open_cache() as other:
        writer = reader if processes == 1 else other
        slow = SlowRead(source)
        reading = asyncio.create_task(reader.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        source.value = 2
        await writer.evict(ADDRESS.key)
        slow.finish()
        assert await reading == b"1", "it was asked before the write was complete"
        assert await writer.peek(ADDRESS) == [None]
        assert await read(writer, source) == b"2"
        assert await read(reader, source) == b"2"


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_slow_reader_cannot_overwrite_what_a_later_one_stored(
    open_cache: OpenCache, processes: int
) -> None:
    source = Source(1)
    async with open_cache() as reader, open_cache() as other:
        later = reader if processes == 1 else other
        slow = SlowRead(source)
        reading = asyncio.create_task(reader.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        source.value = 2
        await later.evict(ADDRESS.key)
        assert await read(later, source) == b"2"
        slow.finish()
        await reading
        assert await later.peek(ADDRESS) == [b"2"]


async def test_a_reader_that_comes_after_a_drop_does_not_join_the_old_computation(
    open_cache: OpenCache,
) -> None:
    source = Source(1)
    async with open_cache() as cache:
        slow = SlowRead(source)
        reading = asyncio.create_task(cache.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        source.value = 2
        await cache.evict(ADDRESS.key)
        async with asyncio.timeout(5):  # and does not wait for it either
            assert await read(cache, source) == b"2"
        slow.finish()
        assert await reading == b"1"


async def test_a_lease_whose_holder_died_does_not_stand_in_the_way(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    empty_redis.hset(ADDRESS.key, f"lease:{ADDRESS.field}", "of a process that was killed")
    source = Source(3)
    async with open_cache() as cache:
        assert await read(cache, source) == b"3"
        assert await read(cache, source) == b"3"
        assert source.reads == 1


async def test_fifty_simultaneous_misses_compute_once(open_cache: OpenCache) -> None:
    source = Source(5)
    async with open_cache() as cache:
        slow = SlowRead(source)
        readings = [asyncio.create_task(cache.fetch(ADDRESS, TTL, slow)) for _ in range(50)]
        await slow.has_read.wait()
        readings += [asyncio.create_task(cache.fetch(ADDRESS, TTL, slow)) for _ in range(5)]
        await cache.peek(ADDRESS)
        slow.finish()
        assert set(await asyncio.gather(*readings)) == {b"5"}
        assert source.reads == 1


async def test_a_reader_that_gives_up_does_not_end_the_others_computation(
    open_cache: OpenCache,
) -> None:
    async with open_cache() as cache:
        slow = SlowRead(Source(5))
        impatient = asyncio.create_task(cache.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        patient = asyncio.create_task(cache.fetch(ADDRESS, TTL, slow))
        await cache.peek(ADDRESS)
        impatient.cancel()
        slow.finish()
        assert await patient == b"5"
        with pytest.raises(asyncio.CancelledError):
            await impatient


async def test_a_failed_computation_is_told_to_all_and_not_remembered(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    async def fail() -> bytes:
        await asyncio.sleep(0)
        raise LookupError("the source is gone")

    async with open_cache() as cache:
        together = await asyncio.gather(
            *(cache.fetch(ADDRESS, TTL, fail) for _ in range(5)), return_exceptions=True
        )
        assert {type(error) for error in together} == {LookupError}
        assert not empty_redis.exists(ADDRESS.key)
        assert await read(cache, Source(1)) == b"1"


async def test_no_value_is_not_stored(open_cache: OpenCache, empty_redis: Redis) -> None:
    reads = 0

    async def nothing() -> None:
        nonlocal reads
        reads += 1

    async with open_cache() as cache:
        assert await cache.fetch(ADDRESS, TTL, nothing) is None
        assert await cache.fetch(ADDRESS, TTL, nothing) is None
        assert reads == 2
        assert not empty_redis.exists(ADDRESS.key), (
            "nor the lease: anybody may ask for what is not there"
        )
        assert await read(cache, Source(4)) == b"4"


@pytest.mark.parametrize("kind", ["string", "list"])
async def test_a_key_of_another_type_is_a_miss_and_makes_room(
    open_cache: OpenCache, empty_redis: Redis, kind: str
) -> None:
    source, other = Source(7), Address("thing:2", "value")
    async with open_cache() as cache:
        assert await read(cache, source, other) == b"7"
        empty_redis.set(ADDRESS.key, "{}") if kind == "string" else empty_redis.lpush(
            ADDRESS.key, 1
        )
        assert await cache.peek(ADDRESS, other) == [None, b"7"]
        assert await read(cache, source) == b"7"
        assert await cache.peek(ADDRESS) == [b"7"]
        assert cache.is_up
        assert 0 < empty_redis.ttl(ADDRESS.key) <= TTL


async def test_a_key_that_becomes_of_another_type_meanwhile_takes_no_value(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    async with open_cache() as cache:
        slow = SlowRead(Source(7))
        reading = asyncio.create_task(cache.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        empty_redis.set(ADDRESS.key, "{}")
        slow.finish()
        assert await reading == b"7"
        assert cache.is_up


async def test_every_entry_has_a_lifetime(open_cache: OpenCache, empty_redis: Redis) -> None:
    async with open_cache() as cache:
        await read(cache, Source())
        assert 0 < empty_redis.ttl(ADDRESS.key) <= TTL


async def test_a_lease_alone_has_a_lifetime_too(open_cache: OpenCache, empty_redis: Redis) -> None:
    async with open_cache() as cache:
        slow = SlowRead(Source())
        reading = asyncio.create_task(cache.fetch(ADDRESS, TTL, slow))
        await slow.has_read.wait()
        assert 0 < empty_redis.ttl(ADDRESS.key) <= TTL
        slow.finish()
        await reading


async def test_further_fields_do_not_prolong_the_entry(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    async with open_cache() as cache:
        await read(cache, Source(), Address("pages:1", "0:10"))
        empty_redis.expire("pages:1", 40)
        await read(cache, Source(), Address("pages:1", "10:10"))
        assert 0 < empty_redis.ttl("pages:1") <= 40


async def test_an_entry_with_many_fields_stops_growing(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    # A name of its own: evictions that an earlier test left for later are of `pages:1`.
    source = Source()
    async with open_cache() as cache:
        for skip in range(300):
            assert await read(cache, source, Address("pages:many", f"{skip}:10")) == b"1"
        assert empty_redis.hlen("pages:many") <= 128 + 1
        assert await cache.peek(Address("pages:many", "0:10")) == [b"1"]
        source.value = 2
        await cache.evict("pages:many")
        assert await read(cache, source, Address("pages:many", "299:10")) == b"2"


async def test_an_entry_has_the_room_that_it_was_given(
    open_cache: OpenCache, empty_redis: Redis
) -> None:
    async def compute() -> bytes:
        return b"x" * size

    async with open_cache() as cache:
        for number, size in enumerate((10, 11, *[10] * 9)):
            field = Address("pages:1", str(number))
            assert await cache.fetch(field, TTL, compute, Room(4, 10)) == b"x" * size
        stored = await cache.peek(*(Address("pages:1", str(number)) for number in range(11)))
        assert [value is not None for value in stored] == [
            *(True, False, True, True, True),
            *[False] * 6,
        ]


async def test_a_mark_is_there_for_its_lifetime(open_cache: OpenCache, empty_redis: Redis) -> None:
    async with open_cache() as cache:
        assert not await cache.is_marked("webhook_event:1")
        await cache.mark("webhook_event:1", timedelta(hours=24))
        assert await cache.is_marked("webhook_event:1")
        assert 86_000 < empty_redis.ttl("webhook_event:1") <= 86_400


class Page(msgspec.Struct):
    owner: str
    first: int


class Pages:
    """As a repository uses the decorator."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.queries: list[tuple[str, int]] = []

    @cached("pages:{owner}", field="{skip}", ttl=timedelta(minutes=1))
    async def page(self, *, owner: str, skip: int) -> list[Page]:
        """List a page."""
        self.queries.append((owner, skip))
        return [Page(owner, skip)]

    @cached("first:{owner}", ttl=timedelta(minutes=1))
    async def first(self, *, owner: str) -> Page | None:
        return Page(owner, 0) if owner == "asha" else None


async def test_a_cached_query_gives_what_it_is_annotated_to_give(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        pages = Pages(cache)
        assert await pages.page(owner="asha", skip=0) == [Page("asha", 0)]
        assert await pages.page(owner="asha", skip=0) == [Page("asha", 0)]
        assert pages.queries == [("asha", 0)]
        assert await pages.page.encoded(owner="asha", skip=0) == b'[{"owner":"asha","first":0}]'


async def test_a_cached_query_keeps_arguments_apart(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        pages = Pages(cache)
        for owner, skip in [("asha", 0), ("asha", 10), ("ravi", 0)]:
            assert await pages.page(owner=owner, skip=skip) == [Page(owner, skip)]
        await pages.page.evict(owner="asha")
        await pages.page(owner="ravi", skip=0)
        assert len(pages.queries) == 3
        await pages.page(owner="asha", skip=10)
        assert pages.queries[3:] == [("asha", 10)]


async def test_a_change_drops_the_entry_before_and_after_even_if_it_fails(
    open_cache: OpenCache,
) -> None:
    async with open_cache() as cache:
        pages = Pages(cache)
        address = pages.page.address(owner="asha", skip=0)
        await pages.page(owner="asha", skip=0)

        async def fail() -> None:
            async with pages.page.changing(owner="asha"):
                assert await cache.peek(address) == [None]
                await pages.page(owner="asha", skip=0)
                raise TimeoutError

        with pytest.raises(TimeoutError):
            await fail()
        assert await cache.peek(address) == [None]


async def test_a_cached_query_may_have_no_value(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        pages = Pages(cache)
        assert await pages.first(owner="ravi") is None
        assert await pages.first(owner="asha") == Page("asha", 0)


async def test_two_objects_do_not_share_a_cached_query(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        one, other = Pages(cache), Pages(cache)
        await one.page(owner="asha", skip=0)
        assert await other.page(owner="asha", skip=0) == [Page("asha", 0)]
        assert (one.queries, other.queries) == ([("asha", 0)], [])
