"""Rate limits: the sliding window counter of `limits`, shared through Redis; each process alone while Redis is away."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import ceil
from time import monotonic
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import structlog
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.storage.redis.bridge import RedisBridge
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import InvalidInput, TooManyRequests, Unauthenticated
from kernapay.security.addresses import ClientAddresses
from kernapay.storage.cache import Cache
from kernapay.storage.redis import RedisFailure, RedisStore

_log = structlog.get_logger("kernapay.rate_limits")

# After a failure, how long to count in the process before Redis is asked again.
_REST_SECONDS: Final = 1.0
_PREFIX: Final = "rate"
# limits asks for admission and for the window in two calls; this is both of its scripts in one.
_TAKE: Final = f"""
local function take()
{RedisBridge.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode()}
end
local function window(ARGV)
{RedisBridge.SCRIPT_SLIDING_WINDOW.decode()}
end
local admitted = take()
local seen = window({{ARGV[2]}})
return {{admitted and 1 or 0, seen[1], seen[2], seen[3], seen[4]}}
"""


class Window(NamedTuple):
    """Counts of the previous and the present window, and the seconds each is still remembered."""

    previous: int
    previous_ttl: float
    current: int
    current_ttl: float


class Verdict(NamedTuple):
    """How a limit stands: `reset` is seconds until its window ends, `wait` until it admits again."""

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


class _SharedWindows:
    """Windows in Redis as `limits` keeps them, with its scripts and keys, over the connection that is there."""

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis
        self._take = redis.script(_TAKE)
        self._look = redis.script(RedisBridge.SCRIPT_SLIDING_WINDOW.decode())

    async def take(self, key: str, item: RateLimitItem) -> tuple[bool, Window]:
        admitted, *seen = await self._take(
            keys=_window_keys(key), args=[item.amount, item.get_expiry(), 1]
        )
        return bool(admitted), _window(seen)

    async def look(self, key: str, item: RateLimitItem) -> Window:
        return _window(await self._look(keys=_window_keys(key), args=[item.get_expiry()]))

    async def clear(self, key: str) -> None:
        await self._redis.delete_all(_window_keys(key))


def _window_keys(key: str) -> list[str]:
    """Return the keys of the previous and of the present window; the braces keep both on one node of a cluster."""
    return [f"{_PREFIX}:{{{key}}}/-1", f"{_PREFIX}:{{{key}}}"]


def _window(seen: Sequence[Any]) -> Window:
    previous, previous_ms, current, current_ms = (max(0, int(value or 0)) for value in seen)
    return Window(previous, previous_ms / 1000, current, current_ms / 1000)


class _OwnWindows(MemoryStorage):
    """Windows of this process alone."""

    async def take(self, key: str, item: RateLimitItem) -> tuple[bool, Window]:
        admitted = await self.acquire_sliding_window_entry(key, item.amount, item.get_expiry())
        return admitted, await self.look(key, item)

    async def look(self, key: str, item: RateLimitItem) -> Window:
        return Window(*await self.get_sliding_window(key, item.get_expiry()))


class RateLimiter:
    """Count what subjects do. Subjects are stored as keyed hashes: they are addresses of people."""

    def __init__(
        self,
        cache: Cache,
        redis: RedisStore,
        limits: Mapping[str, Sequence[RateLimitItem]],
        key: bytes,
        addresses: ClientAddresses,
    ) -> None:
        self._cache = cache
        self._limits = limits
        self._key = key
        self._shared = _SharedWindows(redis)
        self._own = _OwnWindows()
        self._rest_until = 0.0
        self.addresses = addresses

    def limits(self, name: str) -> bool:
        return bool(self._limits.get(name))

    async def hit(self, name: str, subject: str) -> Verdict | None:
        """Count one more, unless that is too many; the strictest verdict, None when nothing is limited."""
        return await self._strictest(name, subject, self._hit)

    async def look(self, name: str, subject: str) -> Verdict | None:
        """Tell whether one more would be admitted, without counting it."""
        return await self._strictest(name, subject, self._look)

    async def clear(self, name: str, subject: str) -> None:
        """Forget what the subject did."""
        for key, item in self._windows(name, subject):
            await self._own.clear_sliding_window(key, item.get_expiry())
            if self._shared_is_up:
                try:
                    await self._shared.clear(key)
                except RedisFailure as error:
                    self._rest(error)

    async def _strictest(
        self, name: str, subject: str, ask: Callable[[str, RateLimitItem], Awaitable[Verdict]]
    ) -> Verdict | None:
        windows = self._windows(name, subject)
        if not windows:
            return None
        if len(windows) == 1:  # a gathering costs as much as the question
            return await ask(*windows[0])
        verdicts = await asyncio.gather(*(ask(*window) for window in windows))
        return min(verdicts, key=lambda each: (each.admitted, each.remaining, -each.wait))

    def _windows(self, name: str, subject: str) -> list[tuple[str, RateLimitItem]]:
        digest = hashlib.blake2b(subject.encode(), key=self._key, digest_size=16).hexdigest()
        return [(item.key_for(name, digest), item) for item in self._limits.get(name, ())]

    async def _hit(self, key: str, item: RateLimitItem) -> Verdict:
        if self._shared_is_up:
            try:
                return _verdict(item, *await self._shared.take(key, item))
            except RedisFailure as error:
                self._rest(error)
        return _verdict(item, *await self._own.take(key, item))

    async def _look(self, key: str, item: RateLimitItem) -> Verdict:
        if self._shared_is_up:
            try:
                return _verdict(item, None, await self._shared.look(key, item))
            except RedisFailure as error:
                self._rest(error)
        return _verdict(item, None, await self._own.look(key, item))

    @property
    def _shared_is_up(self) -> bool:
        return self._cache.is_up and monotonic() >= self._rest_until

    def _rest(self, error: Exception) -> None:
        self._rest_until = monotonic() + _REST_SECONDS
        _log.warning("rate_limits_not_shared", error=type(error).__name__)


def _verdict(item: RateLimitItem, admitted: bool | None, window: Window) -> Verdict:
    seconds = item.get_expiry()
    used = int(window.previous * window.previous_ttl / seconds) + window.current
    remaining = max(0, item.amount - used)
    reset = max(0.0, window.current_ttl - seconds) if window.current else window.previous_ttl
    wait = reset
    if window.previous and window.current < item.amount:
        # The previous window fades evenly: so long until it has made room for one.
        wait = window.previous_ttl - (item.amount - window.current) * seconds / window.previous
    return Verdict(
        admitted=remaining > 0 if admitted is None else admitted,
        limit=item.amount,
        remaining=remaining,
        reset=ceil(reset),
        wait=max(1, ceil(wait)),
    )


class RateLimited:
    """Admit an account, or a client's address where nobody is signed in, as often as the limit of that name says."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        limiter: RateLimiter = connection.app.state.rate_limiter
        caller = connection.scope.get("user")
        subject = caller.id if caller is not None else limiter.addresses.of(connection.scope)
        verdict = await limiter.hit(self.name, subject)
        if verdict is None:
            return
        connection.scope["state"]["headers"] = verdict.headers
        if not verdict.admitted:
            raise TooManyRequests("That was too often. Wait a little.", retry_after=verdict.wait)


class PasswordAttempts:
    """Slow down whoever guesses passwords: per account and address, so that no stranger locks the owner out.

    The limit has several windows, each longer than the one before: who goes on guessing waits longer.
    """

    NAME: Final = "wrong_password"

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, account: str, address: str) -> AsyncIterator[None]:
        """Enclose the check of a password; its refusal is counted. Raises TooManyRequests."""
        if not self._limiter.limits(self.NAME):
            yield
            return
        subject = _guesser(account, address)
        # One after the other, or a burst of guesses would all be let in before the first is found wrong.
        async with self._turns.setdefault(subject, asyncio.Lock()):
            verdict = await self._limiter.look(self.NAME, subject)
            if verdict is not None and not verdict.admitted:
                raise TooManyRequests(
                    "Too many wrong passwords. Wait a little.", retry_after=verdict.wait
                )
            try:
                yield
            except (Unauthenticated, InvalidInput):
                await self._limiter.hit(self.NAME, subject)
                raise

    async def forgive(self, account: str, address: str) -> None:
        """Forget the wrong passwords: whoever guessed has shown who they are."""
        await self._limiter.clear(self.NAME, _guesser(account, address))


def _guesser(account: str, address: str) -> str:
    return f"{account} {address}"
