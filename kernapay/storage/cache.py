"""A read-through cache on Redis with leases: many misses cause one computation, and no stale value is stored.

An entry is one Redis hash. Each field holds a value; `lease:{field}` holds the token of the process that computes it.
Evicting the entry is a DEL, which deletes its leases too. A value is stored only while its lease exists, so a reader
that began before a write cannot store the old value after it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

import structlog

from kernapay.core.errors import Unavailable
from kernapay.storage.cache_metrics import count_fill, count_mark, count_reads
from kernapay.storage.redis import Address, RedisFailure, RedisStore

_log = structlog.get_logger("kernapay.cache")

_PROBE_SECONDS: Final = 0.5
_CHECK_SECONDS: Final = 1.0
# A failover or a restart of Redis may undo the last evictions. Evictions this recent are repeated then.
_RECENT_SECONDS: Final = 60.0
_MAX_RECENT: Final = 50_000
# A caller that saw the lease just before the computation finished may still use its result.
_JOIN_SECONDS: Final = 0.2
_REST_OF_CLUSTER_SECONDS: Final = 0.2
_LEASE: Final = """
local value = redis.pcall('HMGET', KEYS[1], ARGV[1], 'lease:' .. ARGV[1])
if value.err then
  -- Not a hash: another program wrote this key.
  redis.call('DEL', KEYS[1])
  value = {false, false}
end
if value[1] then return {value[1], false} end
if value[2] then return {false, value[2]} end
redis.call('HSET', KEYS[1], 'lease:' .. ARGV[1], ARGV[2])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return {false, ARGV[2]}
"""
_FILL: Final = """
if redis.pcall('HGET', KEYS[1], 'lease:' .. ARGV[1]) ~= ARGV[2] then return -1 end
local room = ARGV[3] ~= '' and #ARGV[3] <= tonumber(ARGV[5])
  and redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[4])
if room then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
-- Delete the lease last: Redis deletes a hash without fields, and its expiry with it.
redis.call('HDEL', KEYS[1], 'lease:' .. ARGV[1])
return room and 1 or 0
"""


class PendingEvictions(Protocol):
    """A durable store for evictions that Redis did not accept."""

    async def add(self, keys: Sequence[str]) -> None: ...

    async def drain(self, evict: Callable[[str], Awaitable[object]]) -> None: ...


class Room(NamedTuple):
    """How much an entry may hold. A value that does not fit is computed by each read."""

    fields: int = 128
    bytes_per_field: int = 65_536


DEFAULT_ROOM: Final = Room()


class _Computation(NamedTuple):
    lease: bytes
    result: "asyncio.Task[bytes | None]"


class Cache:
    """A read-through cache on Redis. Without Redis, reads are slower but correct, and nothing fails.

    After a failure, reads go to the source and evictions to `pending`. When a probe reaches Redis again, the pending
    evictions are made first; then the cache is used again.
    While Redis is up, a check runs every second. It makes the evictions that other processes left pending. If another
    server has taken over, which may have missed the last evictions, it repeats the recent ones.
    """

    def __init__(self, redis: RedisStore, pending: PendingEvictions) -> None:
        self._redis = redis
        self._pending = pending
        self._lease = redis.script(_LEASE)
        self._fill = redis.script(_FILL)
        self._computations: dict[Address, _Computation] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_up = False
        self._is_outage_logged = False
        self._watch: asyncio.Task[None] | None = None
        self._is_closing = False
        self._recent_evictions: dict[str, float] = {}
        self._data_sets: frozenset[str] = frozenset()

    @property
    def is_up(self) -> bool:
        return self._is_up

    async def start(self) -> None:
        """Connect to Redis, make the pending evictions and start the check."""
        await self._try_to_recover()
        self._watch = asyncio.get_running_loop().create_task(self._check_forever())

    async def close(self) -> None:
        """Stop the cache's own work. Redis is closed by its opener."""
        # A cancellation can be lost: `asyncio.wait_for`, which redis-py uses, drops one that comes as its call ends
        # (Python before 3.12). Then the check ends after this round.
        self._is_closing = True
        tasks = (*self._tasks, *((self._watch,) if self._watch else ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def peek(self, *addresses: Address) -> list[bytes | None]:
        """Return several stored values in one round trip; None for each that is not stored."""
        if self._is_up:
            try:
                return count_reads(addresses, await self._redis.read(addresses))
            except RedisFailure as error:
                self._lose(error)
        return [None] * len(addresses)

    async def fetch(
        self,
        address: Address,
        ttl: int,
        compute: Callable[[], Awaitable[bytes | None]],
        room: Room = DEFAULT_ROOM,
    ) -> bytes | None:
        """Return the stored bytes, or compute and store them for `ttl` seconds. None is not stored."""
        (value,) = await self.peek(address)
        if value is not None:
            return value
        if not self._is_up:
            return await compute()
        value, lease = await self._take_lease(address, ttl)
        if value is not None:
            return value
        if lease is None:
            return await compute()
        computation = self._computations.get(address)
        # Join a running computation only if its lease still exists: then nothing was evicted since it began.
        if computation is None or computation.lease != lease:
            task = self._spawn(self._compute(address, lease, compute, room))
            computation = _Computation(lease, task)
            self._computations[address] = computation
            later = asyncio.get_running_loop().call_later
            task.add_done_callback(
                lambda _: later(_JOIN_SECONDS, self._forget, address, computation)
            )
        return await asyncio.shield(computation.result)

    async def evict(self, *keys: str) -> None:
        """Evict entries. If Redis does not accept an eviction, it is stored, and made before Redis is used again."""
        self._remember(keys)
        if self._is_up:
            try:
                await self._redis.delete(*keys)
                return
            except RedisFailure as error:
                self._lose(error)
        await self._pending.add(keys)
        if self._redis.is_cluster:
            # Other processes may still read from the nodes that are up. Those nodes accept the eviction now.
            with suppress(*RedisFailure):
                async with asyncio.timeout(_REST_OF_CLUSTER_SECONDS):
                    await self._redis.delete(*keys)

    async def mark(self, key: str, lifetime: timedelta) -> None:
        """Store a mark that something happened. It may be lost, so its absence proves nothing."""
        if self._is_up:
            try:
                await self._redis.set(key, b"1", lifetime)
            except RedisFailure as error:
                self._lose(error)

    async def is_marked(self, key: str) -> bool:
        if not self._is_up:
            return False
        try:
            return count_mark(key, await self._redis.exists(key))
        except RedisFailure as error:
            self._lose(error)
            return False

    def _forget(self, address: Address, computation: _Computation) -> None:
        if self._computations.get(address) is computation:
            del self._computations[address]
        if not computation.result.cancelled():
            computation.result.exception()  # or asyncio logs it as never retrieved, if every caller has left

    async def _compute(
        self,
        address: Address,
        lease: bytes,
        compute: Callable[[], Awaitable[bytes | None]],
        room: Room,
    ) -> bytes | None:
        value: bytes | None = None
        try:
            value = await compute()
        finally:
            # Also without a value: the lease would stay behind after each search for a missing row.
            try:
                reply = await self._fill(
                    keys=[address.key], args=[address.field, lease, value or b"", *room]
                )
                count_fill(address.key, value, reply)
            except RedisFailure as error:
                self._lose(error)
        return value

    async def _take_lease(self, address: Address, ttl: int) -> tuple[bytes | None, bytes | None]:
        token = secrets.token_bytes(12)
        try:
            value, lease = await self._lease(keys=[address.key], args=[address.field, token, ttl])
        except RedisFailure as error:
            self._lose(error)
            return None, None
        return value, lease

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _lose(self, error: BaseException) -> None:
        if self._is_up:
            self._is_outage_logged = True
            _log.warning("redis_lost", address=self._redis.address, error=type(error).__name__)
        self._is_up = False

    def _remember(self, keys: Sequence[str]) -> None:
        at = monotonic()
        recent = self._recent_evictions
        for key in keys:
            recent.pop(key, None)  # insert the key again at the end: the order is by time
            recent[key] = at
        while recent:
            oldest = next(iter(recent))
            if len(recent) <= _MAX_RECENT and recent[oldest] > at - _RECENT_SECONDS:
                break
            del recent[oldest]

    async def _check_forever(self) -> None:
        while not self._is_closing:
            await asyncio.sleep(_CHECK_SECONDS if self._is_up else _PROBE_SECONDS)
            try:
                await (self._catch_up() if self._is_up else self._try_to_recover())
            except Unavailable:
                continue  # MongoDB is down: no eviction can have been stored meanwhile
            except RedisFailure as error:
                self._lose(error)
            except Exception as error:
                # If this loop ended, the cache would never use Redis again.
                _log.error("cache_watch_broken", exc_info=error)

    async def _try_to_recover(self) -> None:
        self._data_sets = frozenset()
        try:
            await self._catch_up()
        except Unavailable:
            return  # MongoDB is down. It keeps the evictions that have to be made first.
        except RedisFailure as error:
            if not self._is_outage_logged:
                self._is_outage_logged = True
                _log.warning(
                    "redis_unreachable",
                    address=self._redis.address,
                    error=type(error).__name__,
                    detail="Redis cannot be reached. Answers are slower until it is.",
                )
            return
        self._is_up = True
        self._is_outage_logged = False
        _log.info("redis_ready", address=self._redis.address)

    async def _catch_up(self) -> None:
        # First, because this needs only Redis.
        data_sets = await self._redis.data_sets()
        if data_sets != self._data_sets:
            await self._redis.delete_all(list(self._recent_evictions))
            self._data_sets = data_sets
        # Any process may have stored them. Each process makes all of them.
        await self._pending.drain(self._evict_pending)

    async def _evict_pending(self, key: str) -> None:
        self._remember((key,))
        await self._redis.delete(key)
