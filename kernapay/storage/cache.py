"""The cache: leases, one computation for many misses, and never wrong when Redis is gone.

An entry is one Redis hash. A field holds a value, `lease:{field}` the token of whoever computes it.
Evicting the entry is a plain DEL that takes the leases along. So a reader that began before a write cannot store
what the write made stale: a value is stored only while the lease it was computed under still stands.
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
from kernapay.storage.redis import Address, RedisFailure, RedisStore

_log = structlog.get_logger("kernapay.cache")

# Pages of a history and sessions of an account must not grow without bound; past it, each read asks the source.
_MAX_FIELDS: Final = 128
_PROBE_SECONDS: Final = 0.5
_CHECK_SECONDS: Final = 1.0
# A failover or a restart may undo what Redis accepted shortly before; for so long an eviction can be repeated.
_REMEMBERED_SECONDS: Final = 60.0
_REMEMBERED: Final = 50_000
# A caller that saw the lease just before the computation finished may still use its result.
_JOIN_SECONDS: Final = 0.2
_REST_OF_CLUSTER_SECONDS: Final = 0.2
_LEASE: Final = """
local value = redis.pcall('HMGET', KEYS[1], ARGV[1], 'lease:' .. ARGV[1])
if value.err then
  -- Not a hash: what another program left under this name.
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
if redis.pcall('HGET', KEYS[1], 'lease:' .. ARGV[1]) ~= ARGV[2] then return 0 end
local room = ARGV[3] ~= '' and redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[4])
if room then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
-- Last: a hash without fields is deleted, and its lifetime with it.
redis.call('HDEL', KEYS[1], 'lease:' .. ARGV[1])
return room and 1 or 0
"""


class PendingEvictions(Protocol):
    """Where evictions are stored that Redis did not accept; they survive the process."""

    async def add(self, keys: Sequence[str]) -> None: ...

    async def drain(self, evict: Callable[[str], Awaitable[object]]) -> None: ...


class _Computation(NamedTuple):
    lease: bytes
    result: "asyncio.Task[bytes | None]"


class Cache:
    """Read-through cache on Redis. Redis down means slower, never wrong and never an error.

    After a failure every read asks the source and every eviction goes to `pending`, until a probe has reached Redis
    and made the pending evictions. While all is well, it checks every second for evictions that other processes left
    pending, and whether other servers took over: these may have missed the last evictions, which are then repeated.
    """

    def __init__(self, redis: RedisStore, pending: PendingEvictions) -> None:
        self._redis = redis
        self._pending = pending
        self._lease = redis.script(_LEASE)
        self._fill = redis.script(_FILL)
        self._computations: dict[Address, _Computation] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_up = False
        self._watch: asyncio.Task[None] | None = None
        self._evicted: dict[str, float] = {}
        self._data_sets: frozenset[str] = frozenset()

    @property
    def is_up(self) -> bool:
        return self._is_up

    async def start(self) -> None:
        """Reach Redis and make the evictions that an earlier process could not."""
        await self._try_to_return()
        self._watch = asyncio.get_running_loop().create_task(self._keep_watch())

    async def close(self) -> None:
        tasks = (*self._tasks, *((self._watch,) if self._watch else ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.close()
        _log.info("redis_closed")

    async def peek(self, *addresses: Address) -> list[bytes | None]:
        """Read several stored values in one round trip; None for what is not there."""
        if self._is_up:
            try:
                return await self._redis.read(addresses)
            except RedisFailure as error:
                self._lose(error)
        return [None] * len(addresses)

    async def fetch(
        self, address: Address, ttl: int, compute: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """Return the stored bytes, or compute them and store them for `ttl` seconds. None is not stored."""
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
        # Join a computation only while the lease it began under stands: nothing was evicted since.
        if computation is None or computation.lease != lease:
            task = self._spawn(self._compute(address, lease, compute))
            computation = _Computation(lease, task)
            self._computations[address] = computation
            later = asyncio.get_running_loop().call_later
            task.add_done_callback(
                lambda _: later(_JOIN_SECONDS, self._forget, address, computation)
            )
        return await asyncio.shield(computation.result)

    async def evict(self, *keys: str) -> None:
        """Remove entries. When Redis does not accept it, the eviction is stored and made before Redis is used again."""
        self._remember(keys)
        if self._is_up:
            try:
                for key in keys:  # one by one: the keys of a cluster live on different nodes
                    await self._redis.delete(key)
                return
            except RedisFailure as error:
                self._lose(error)
        await self._pending.add(keys)
        if self._redis.is_cluster:
            # Others may go on reading from the nodes that are left; those accept the eviction at once.
            with suppress(*RedisFailure):
                async with asyncio.timeout(_REST_OF_CLUSTER_SECONDS):
                    for key in keys:
                        await self._redis.delete(key)

    async def mark(self, key: str, lifetime: timedelta) -> None:
        """Record that something happened; losing the mark must only cost time."""
        if self._is_up:
            try:
                await self._redis.set(key, b"1", lifetime)
            except RedisFailure as error:
                self._lose(error)

    async def is_marked(self, key: str) -> bool:
        if not self._is_up:
            return False
        try:
            return await self._redis.exists(key)
        except RedisFailure as error:
            self._lose(error)
            return False

    def _forget(self, address: Address, computation: _Computation) -> None:
        if self._computations.get(address) is computation:
            del self._computations[address]
        if not computation.result.cancelled():
            computation.result.exception()  # retrieved here too, should every caller have left

    async def _compute(
        self, address: Address, lease: bytes, compute: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        value: bytes | None = None
        try:
            value = await compute()
        finally:
            # Without a value too: each look for what is not there would leave its lease behind.
            try:
                await self._fill(
                    keys=[address.key], args=[address.field, lease, value or b"", _MAX_FIELDS]
                )
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
            _log.warning("redis_lost", error=type(error).__name__)
        self._is_up = False

    def _remember(self, keys: Sequence[str]) -> None:
        at = monotonic()
        for key in keys:
            self._evicted.pop(key, None)  # the latest is the last
            self._evicted[key] = at
        while self._evicted:
            oldest = next(iter(self._evicted))
            if (
                len(self._evicted) <= _REMEMBERED
                and self._evicted[oldest] > at - _REMEMBERED_SECONDS
            ):
                break
            del self._evicted[oldest]

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS if self._is_up else _PROBE_SECONDS)
            try:
                await (self._catch_up() if self._is_up else self._try_to_return())
            except Unavailable:
                continue  # nothing new is stored where nothing can be written
            except RedisFailure as error:
                self._lose(error)
            except Exception as error:
                # Without this loop, Redis once lost would stay so.
                _log.error("cache_watch_broken", exc_info=error)

    async def _try_to_return(self) -> None:
        self._data_sets = frozenset()
        try:
            await self._catch_up()
        except (*RedisFailure, Unavailable) as error:
            _log.debug("redis_unreachable", error=type(error).__name__)
            return
        self._is_up = True
        _log.info("redis_ready")

    async def _catch_up(self) -> None:
        # First of all, for it needs Redis alone.
        data_sets = await self._redis.data_sets()
        if data_sets != self._data_sets:
            await self._redis.delete_all(list(self._evicted))
            self._data_sets = data_sets
        # Stored by any process that cannot reach Redis, or could not: each makes all there are.
        await self._pending.drain(self._evict_pending)

    async def _evict_pending(self, key: str) -> None:
        self._remember((key,))
        await self._redis.delete(key)
