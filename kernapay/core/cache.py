"""The cache: leases, one computation for many misses, and never wrong when Redis is gone.

An entry is one Redis hash. A field holds a value, `lease:{field}` the token of whoever is computing it.
Dropping the entry is a plain DEL that takes the leases along, so a reader that started before a write cannot
put back what the write made stale: its fill is accepted only while the lease it saw still stands.
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
from kernapay.core.redis import AnyRedis, RedisFailure, identity, is_cluster

_log = structlog.get_logger("kernapay.cache")

# Pages of a history and sessions of an account must not grow without bound; past it, each read asks the source.
_MAX_FIELDS: Final = 128
_PROBE_EVERY: Final = 0.5
_LOOK_EVERY: Final = 1.0
# A failover or a restart may undo what Redis took shortly before; so long a drop can still be repeated.
_REMEMBERED_SECONDS: Final = 60.0
_REMEMBERED: Final = 50_000
_REPEATED_AT_ONCE: Final = 500
# Who saw a computation's lease, and hears so only after it has ended, may still have its result.
_BOARDING_SECONDS: Final = 0.2
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


class Address(NamedTuple):
    """Where a cached value lives: a key and a field of its hash."""

    key: str
    field: str


class PendingDrops(Protocol):
    """Where drops are kept that Redis did not take; they must survive the process."""

    async def keep(self, keys: Sequence[str]) -> None: ...

    async def carry_out(self, drop: Callable[[str], Awaitable[object]]) -> None: ...


class _Reading(NamedTuple):
    addresses: tuple[Address, ...]
    answer: "asyncio.Future[list[bytes | None]]"


class _Flight(NamedTuple):
    lease: bytes
    result: "asyncio.Task[bytes | None]"


class Cache:
    """Read-through cache on Redis. Redis down means slower, never wrong and never an error.

    After a failure every read goes to the source and every drop to `pending`, until a probe has reached Redis
    and carried the kept drops out. While all is well it still looks every second for drops that another process
    kept, and whether other servers took over, which may have missed the last ones: those it repeats.
    """

    def __init__(self, redis: AnyRedis, pending: PendingDrops) -> None:
        self._redis = redis
        self._pending = pending
        self._lease = redis.register_script(_LEASE)
        self._fill = redis.register_script(_FILL)
        self._flights: dict[Address, _Flight] = {}
        self._queue: list[_Reading] = []
        self._sending = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._up = False
        self._watch: asyncio.Task[None] | None = None
        self._dropped: dict[str, float] = {}
        self._identity: frozenset[str] = frozenset()

    @property
    def up(self) -> bool:
        return self._up

    @property
    def redis(self) -> AnyRedis:
        return self._redis

    async def start(self) -> None:
        """Reach Redis and carry out the drops that an earlier process could not."""
        await self._try_to_return()
        self._watch = asyncio.get_running_loop().create_task(self._look_after())

    async def close(self) -> None:
        tasks = (*self._tasks, *((self._watch,) if self._watch else ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.aclose()
        _log.info("redis_closed")

    def peek(self, *addresses: Address) -> Awaitable[list[bytes | None]]:
        """Read several stored values in one round trip; None for what is not there."""
        # Reads issued in one turn of the event loop travel as one pipeline over one connection.
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[bytes | None]] = loop.create_future()
        if not self._up:
            answer.set_result([None for _ in addresses])
            return answer
        self._queue.append(_Reading(addresses, answer))
        if not self._sending:
            self._sending = True
            loop.call_soon(lambda: self._spawn(self._flush()))
        return answer

    async def fetch(
        self, address: Address, ttl: int, compute: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """Give the stored bytes, or compute, store for `ttl` seconds and give them. None is not stored."""
        (value,) = await self.peek(address)
        if value is not None:
            return value
        if not self._up:
            return await compute()
        value, lease = await self._take_lease(address, ttl)
        if value is not None:
            return value
        if lease is None:
            return await compute()
        flight = self._flights.get(address)
        # A flight may be joined only while the lease it began under stands: nothing was dropped since.
        if flight is None or flight.lease != lease:
            flight = _Flight(lease, self._spawn(self._compute(address, lease, compute)))
            self._flights[address] = flight
            later = asyncio.get_running_loop().call_later
            flight.result.add_done_callback(
                lambda _: later(_BOARDING_SECONDS, self._land, address, flight)
            )
        return await asyncio.shield(flight.result)

    async def evict(self, *keys: str) -> None:
        """Drop entries. When Redis does not take it, the drop is kept and carried out before Redis is used again."""
        self._remember(keys)
        if self._up:
            try:
                for key in keys:  # one by one: the keys of a cluster live on different nodes
                    await self._redis.delete(key)
                return
            except RedisFailure as error:
                self._lost(error)
        await self._pending.keep(keys)
        if is_cluster(self._redis):
            # Others may go on reading from the nodes that are left; those take the drop at once.
            with suppress(*RedisFailure):
                async with asyncio.timeout(_REST_OF_CLUSTER_SECONDS):
                    for key in keys:
                        await self._redis.delete(key)

    async def mark(self, key: str, ttl: timedelta) -> None:
        """Note that something happened; a note that is lost must only cost time."""
        if self._up:
            try:
                await self._redis.set(key, b"1", ex=ttl)
            except RedisFailure as error:
                self._lost(error)

    async def marked(self, key: str) -> bool:
        if not self._up:
            return False
        try:
            return bool(await self._redis.exists(key))
        except RedisFailure as error:
            self._lost(error)
            return False

    def _land(self, address: Address, flight: _Flight) -> None:
        if self._flights.get(address) is flight:
            del self._flights[address]
        if not flight.result.cancelled():
            flight.result.exception()  # retrieved here too, for a flight whose passengers all left

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
                self._lost(error)
        return value

    async def _take_lease(self, address: Address, ttl: int) -> tuple[bytes | None, bytes | None]:
        token = secrets.token_bytes(12)
        try:
            value, lease = await self._lease(keys=[address.key], args=[address.field, token, ttl])
        except RedisFailure as error:
            self._lost(error)
            return None, None
        return value, lease

    async def _flush(self) -> None:
        # One pipeline at a time: what is asked meanwhile makes the next one longer, and so cheaper a read.
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                await self._send(batch)
        finally:
            self._sending = False

    async def _send(self, batch: "list[_Reading]") -> None:
        try:
            replies = await self._replies(batch)
        except RedisFailure as error:
            self._lost(error)
            replies = [None] * sum(len(addresses) for addresses, _ in batch)
        except BaseException as error:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            raise
        taken = 0
        for addresses, answer in batch:
            if not answer.done():
                answer.set_result(replies[taken : taken + len(addresses)])
            taken += len(addresses)

    async def _replies(self, batch: "list[_Reading]") -> list[bytes | None]:
        try:
            # Raising, a cluster's client follows what has moved between its nodes.
            return list(await self._pipeline(batch).execute())
        except RedisFailure as error:
            if "WRONGTYPE" not in str(error):
                raise
        # One key of another type is a miss, not the loss of Redis; taking the lease removes it.
        replies = await self._pipeline(batch).execute(raise_on_error=False)
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def _pipeline(self, batch: "list[_Reading]") -> Any:
        pipeline = self._redis.pipeline(transaction=False)
        for addresses, _ in batch:
            for key, field in addresses:
                pipeline.hget(key, field)
        return pipeline

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _lost(self, error: BaseException) -> None:
        if self._up:
            _log.warning("redis_lost", error=type(error).__name__)
        self._up = False

    def _remember(self, keys: Sequence[str]) -> None:
        at = monotonic()
        for key in keys:
            self._dropped.pop(key, None)  # the latest is the last
            self._dropped[key] = at
        while self._dropped:
            oldest = next(iter(self._dropped))
            if (
                len(self._dropped) <= _REMEMBERED
                and self._dropped[oldest] > at - _REMEMBERED_SECONDS
            ):
                break
            del self._dropped[oldest]

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY if self._up else _PROBE_EVERY)
            try:
                await (self._catch_up() if self._up else self._try_to_return())
            except Unavailable:
                continue  # nothing new is kept where nothing can be written
            except RedisFailure as error:
                self._lost(error)
            except Exception as error:
                # Without this loop, Redis once lost would stay so.
                _log.error("cache_watch_broken", exc_info=error)

    async def _try_to_return(self) -> None:
        self._identity = frozenset()
        try:
            await self._catch_up()
        except (*RedisFailure, Unavailable) as error:
            _log.debug("redis_unreachable", error=type(error).__name__)
            return
        self._up = True
        _log.info("redis_ready")

    async def _catch_up(self) -> None:
        # First of all, for it needs Redis alone.
        servers = await identity(self._redis)
        if servers != self._identity:
            await self._repeat_drops()
            self._identity = servers
        # Kept by any process that cannot reach Redis, or could not: each carries out all there are.
        await self._pending.carry_out(self._drop_kept)

    async def _drop_kept(self, key: str) -> None:
        self._remember((key,))
        await self._redis.delete(key)

    async def _repeat_drops(self) -> None:
        keys = list(self._dropped)
        for start in range(0, len(keys), _REPEATED_AT_ONCE):
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys[start : start + _REPEATED_AT_ONCE]:
                pipeline.delete(key)
            await pipeline.execute()
