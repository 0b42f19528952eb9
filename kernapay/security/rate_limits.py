"""Rate limits: the sliding window counter of the package `limits`, shared by all processes through Redis.

While Redis is away, each process counts for itself.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.storage.redis.bridge import RedisBridge
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import TooManyRequests
from kernapay.security.addresses import ClientAddresses
from kernapay.storage.cache import Cache
from kernapay.storage.redis import RedisFailure, RedisStore

_log = structlog.get_logger("kernapay.rate_limits")

# After a failure of Redis: how long to count in the process before trying Redis again.
_PAUSE_SECONDS: Final = 1.0
_PREFIX: Final = "rate"
# `limits` has one script that counts and one that reads the window. This runs both for every window of a limit, in one
# round trip, and none after a refusal: what a minute refuses must not use up the day.
_TAKE: Final = f"""
local function take(KEYS, ARGV)
{RedisBridge.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode()}
end
local function window(KEYS, ARGV)
{RedisBridge.SCRIPT_SLIDING_WINDOW.decode()}
end
local states = {{}}
for i = 1, #KEYS, 2 do
  local keys, amount, expiry = {{KEYS[i], KEYS[i + 1]}}, ARGV[i], ARGV[i + 1]
  local admitted = take(keys, {{amount, expiry, 1}})
  local counts = window(keys, {{expiry}})
  states[#states + 1] = {{admitted and 1 or 0, counts[1], counts[2], counts[3], counts[4]}}
  if not admitted then break end
end
return states
"""
# How many subjects the process keeps the keys of.
_KNOWN_SUBJECTS: Final = 4096


class Window(NamedTuple):
    """The counts of the previous and the current window, and in how many seconds each of them expires."""

    previous: int
    previous_ttl: float
    current: int
    current_ttl: float


class Verdict(NamedTuple):
    """The state of a limit. Its window ends in `reset` seconds, and it admits again in `wait` seconds."""

    admitted: bool
    limit: int
    remaining: int
    reset: int
    wait: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"ratelimit-limit", str(self.limit).encode()),
            (b"ratelimit-remaining", str(self.remaining).encode()),
            (b"ratelimit-reset", str(self.reset).encode()),
        ]


class _Counted(NamedTuple):
    """A window of a subject: the key of its counts, and the rate that it admits."""

    key: str
    item: RateLimitItem


class _SharedWindows:
    """Windows in Redis, with the scripts of `limits` but through our own client."""

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis
        self._take = redis.script(_TAKE)
        self._look = redis.script(RedisBridge.SCRIPT_SLIDING_WINDOW.decode())

    async def take(self, windows: Sequence[_Counted]) -> list[tuple[bool, Window]]:
        """Count one action in each window up to the first that does not admit it.

        Return whether each of them does, and its counts.
        """
        keys = [key for window in windows for key in _window_keys(window.key)]
        args = [arg for _, item in windows for arg in (item.amount, item.get_expiry())]
        states = await self._take(keys=keys, args=args)
        return [(bool(admitted), _window(counts)) for admitted, *counts in states]

    async def look(self, key: str, item: RateLimitItem) -> Window:
        return _window(await self._look(keys=_window_keys(key), args=[item.get_expiry()]))

    async def clear(self, key: str) -> None:
        await self._redis.delete_all(_window_keys(key))


def _window_keys(key: str) -> tuple[str, str]:
    """Return the keys of the previous and the current window."""
    return f"{key}/-1", key


def _window(counts: Sequence[Any]) -> Window:
    previous, previous_ms, current, current_ms = (max(0, int(value or 0)) for value in counts)
    return Window(previous, previous_ms / 1000, current, current_ms / 1000)


class _LocalWindows(MemoryStorage):
    """Windows in the memory of this process."""

    async def take(self, windows: Sequence[_Counted]) -> list[tuple[bool, Window]]:
        """Do as in Redis."""
        taken = []
        for key, item in windows:
            admitted = await self.acquire_sliding_window_entry(key, item.amount, item.get_expiry())
            taken.append((admitted, await self.look(key, item)))
            if not admitted:
                break
        return taken

    async def look(self, key: str, item: RateLimitItem) -> Window:
        return Window(*await self.get_sliding_window(key, item.get_expiry()))


class RateLimiter:
    """Count the actions of subjects: accounts or addresses.

    Subjects are personal data, so Redis gets only keyed hashes of them.
    """

    def __init__(
        self,
        cache: Cache,
        redis: RedisStore,
        limits: Mapping[str, Sequence[RateLimitItem]],
        key: bytes,
        addresses: ClientAddresses,
    ) -> None:
        self._cache = cache
        # The shortest window first.
        self._limits = {
            name: sorted(items, key=lambda item: item.get_expiry())
            for name, items in limits.items()
        }
        self._key = key
        self._windows = lru_cache(_KNOWN_SUBJECTS)(self._find_windows)
        self._shared = _SharedWindows(redis)
        self._local = _LocalWindows()
        self._pause_ends = 0.0
        self.addresses = addresses

    def is_limited(self, name: str) -> bool:
        """Return whether there is a limit of this name."""
        return bool(self._limits.get(name))

    async def hit(self, name: str, subject: str) -> Verdict | None:
        """Count one action if the limit admits it. Return the strictest verdict, or None if there is no such limit."""
        windows = self._windows(name, subject)
        if not windows:
            return None
        taken = await self._take(windows)
        # There are fewer after a refusal.
        pairs = zip(windows, taken, strict=False)
        return _strictest([_verdict(window.item, *state) for window, state in pairs])

    async def look(self, name: str, subject: str) -> Verdict | None:
        """Return the verdict on one more action, without counting it."""
        windows = self._windows(name, subject)
        return _strictest(await asyncio.gather(*(self._look(*window) for window in windows)))

    async def require(self, name: str, subject: str, excess: str = "Too many requests.") -> None:
        """Count one action. Raises TooManyRequests with the message `excess` if the limit does not admit it."""
        _refuse(await self.hit(name, subject), excess)

    async def require_room(self, name: str, subject: str, excess: str) -> None:
        """Raise TooManyRequests if the limit would not admit one more action. Counts nothing."""
        _refuse(await self.look(name, subject), excess)

    async def clear(self, name: str, subject: str) -> None:
        """Delete the subject's counts."""
        for key, item in self._windows(name, subject):
            await self._local.clear_sliding_window(key, item.get_expiry())
            if self._is_shared_up:
                try:
                    await self._shared.clear(key)
                except RedisFailure as error:
                    self._pause(error)

    def _find_windows(self, name: str, subject: str) -> tuple[_Counted, ...]:
        digest = hashlib.blake2b(subject.encode(), key=self._key, digest_size=16).hexdigest()
        return tuple(
            # The braces put all windows of a subject into one slot of a cluster.
            _Counted(f"{_PREFIX}:{{{name}/{digest}}}/{item.amount}/{item.get_expiry()}", item)
            for item in self._limits.get(name, ())
        )

    async def _take(self, windows: Sequence[_Counted]) -> list[tuple[bool, Window]]:
        if self._is_shared_up:
            try:
                return await self._shared.take(windows)
            except RedisFailure as error:
                self._pause(error)
        return await self._local.take(windows)

    async def _look(self, key: str, item: RateLimitItem) -> Verdict:
        if self._is_shared_up:
            try:
                return _verdict(item, None, await self._shared.look(key, item))
            except RedisFailure as error:
                self._pause(error)
        return _verdict(item, None, await self._local.look(key, item))

    @property
    def _is_shared_up(self) -> bool:
        return self._cache.is_up and monotonic() >= self._pause_ends

    def _pause(self, error: Exception) -> None:
        """Count in the process for a while."""
        self._pause_ends = monotonic() + _PAUSE_SECONDS
        _log.warning("rate_limits_not_shared", error=type(error).__name__)


def _strictest(verdicts: Sequence[Verdict]) -> Verdict | None:
    return min(verdicts, key=lambda each: (each.admitted, each.remaining, -each.wait), default=None)


def _verdict(item: RateLimitItem, admitted: bool | None, window: Window) -> Verdict:
    seconds = item.get_expiry()
    used = int(window.previous * window.previous_ttl / seconds) + window.current
    remaining = max(0, item.amount - used)
    reset = max(0.0, window.current_ttl - seconds) if window.current else window.previous_ttl
    wait = reset
    if window.previous and window.current < item.amount:
        # The weight of the previous window falls evenly to zero. Wait until it has made room for one action.
        wait = window.previous_ttl - (item.amount - window.current) * seconds / window.previous
    return Verdict(
        admitted=remaining > 0 if admitted is None else admitted,
        limit=item.amount,
        remaining=remaining,
        reset=ceil(reset),
        wait=max(1, ceil(wait)),
    )


def _refuse(verdict: Verdict | None, excess: str) -> None:
    if verdict is not None and not verdict.admitted:
        raise TooManyRequests(
            f"{excess} Try again in {verdict.wait} seconds.", retry_after=verdict.wait
        )


class RateLimited:
    """Admit a caller as often as the named limit allows.

    Signed-in callers are counted by account, API keys each by itself, others by address.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        limiter: RateLimiter = connection.app.state.rate_limiter
        caller = connection.scope.get("user")
        if caller is None:
            subject = limiter.addresses.of(connection.scope)
        else:
            # Each key by itself: a busy or leaked one must not stop its owner, nor another back end.
            subject = caller.key_id or caller.id
        verdict = await limiter.hit(self.name, subject)
        if verdict is None:
            return
        connection.scope["state"]["headers"] = verdict.headers
        _refuse(verdict, "Too many requests.")
