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
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import TooManyRequests
from kernapay.security.addresses import ClientAddresses
from kernapay.security.rate_windows import (
    CountedWindow,
    LocalWindows,
    SharedWindows,
    Subject,
    Window,
)
from kernapay.storage.cache import Cache
from kernapay.storage.redis import RedisFailure, RedisStore

_log = structlog.get_logger("kernapay.rate_limits")

# After a failure of Redis: how long to count in the process before trying Redis again.
_PAUSE_SECONDS: Final = 1.0
_PREFIX: Final = "rate"
# How many subjects the process keeps the keys of.
_KNOWN_SUBJECTS: Final = 4096


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
        self._subject = lru_cache(_KNOWN_SUBJECTS)(self._find_subject)
        self._shared = SharedWindows(redis)
        self._local = LocalWindows()
        self._pause_ends = 0.0
        self.addresses = addresses

    def is_limited(self, name: str) -> bool:
        """Return whether there is a limit of this name."""
        return bool(self._limits.get(name))

    async def hit(self, name: str, subject: str) -> Verdict | None:
        """Count one action if the limit admits it. Return the strictest verdict, or None if there is no such limit."""
        counted = self._subject(name, subject)
        if not counted.windows:
            return None
        taken = await self._take(counted)
        # There are fewer after a refusal.
        pairs = zip(counted.windows, taken, strict=False)
        return _strictest([_verdict(window, *state) for window, state in pairs])

    async def look(self, name: str, subject: str) -> Verdict | None:
        """Return the verdict on one more action, without counting it."""
        windows = self._subject(name, subject).windows
        return _strictest(await asyncio.gather(*(self._look(window) for window in windows)))

    async def require(self, name: str, subject: str, excess: str = "Too many requests.") -> None:
        """Count one action. Raises TooManyRequests with the message `excess` if the limit does not admit it."""
        _refuse(await self.hit(name, subject), excess)

    async def require_room(self, name: str, subject: str, excess: str) -> None:
        """Raise TooManyRequests if the limit would not admit one more action. Counts nothing."""
        _refuse(await self.look(name, subject), excess)

    async def clear(self, name: str, subject: str) -> None:
        """Delete the subject's counts."""
        for window in self._subject(name, subject).windows:
            await self._local.clear_sliding_window(window.key, window.seconds)
            if self._is_shared_up:
                try:
                    await self._shared.clear(window.key)
                except RedisFailure as error:
                    self._pause(error)

    def _find_subject(self, name: str, subject: str) -> Subject:
        digest = hashlib.blake2b(subject.encode(), key=self._key, digest_size=16).hexdigest()
        # The braces put all windows of a subject into one slot of a cluster.
        return Subject.of(f"{_PREFIX}:{{{name}/{digest}}}", self._limits.get(name, ()))

    async def _take(self, subject: Subject) -> list[tuple[bool, Window]]:
        if self._is_shared_up:
            try:
                return await self._shared.take(subject)
            except RedisFailure as error:
                self._pause(error)
        return await self._local.take(subject)

    async def _look(self, window: CountedWindow) -> Verdict:
        if self._is_shared_up:
            try:
                return _verdict(window, None, await self._shared.look(window))
            except RedisFailure as error:
                self._pause(error)
        return _verdict(window, None, await self._local.look(window))

    @property
    def _is_shared_up(self) -> bool:
        return self._cache.is_up and monotonic() >= self._pause_ends

    def _pause(self, error: Exception) -> None:
        """Count in the process for a while."""
        self._pause_ends = monotonic() + _PAUSE_SECONDS
        _log.warning("rate_limits_not_shared", error=type(error).__name__)


def _strictest(verdicts: Sequence[Verdict]) -> Verdict | None:
    return min(verdicts, key=lambda each: (each.admitted, each.remaining, -each.wait), default=None)


def _verdict(window: CountedWindow, admitted: bool | None, counts: Window) -> Verdict:
    amount, seconds = window.item.amount, window.seconds
    previous, previous_ttl, current, current_ttl = counts
    used = int(previous * previous_ttl / seconds) + current
    remaining = max(0, amount - used)
    reset = max(0.0, current_ttl - seconds) if current else previous_ttl
    wait = reset
    if previous and current < amount:
        # The weight of the previous window falls evenly to zero. Wait until it has made room for one action.
        wait = previous_ttl - (amount - current) * seconds / previous
    return Verdict(
        admitted=remaining > 0 if admitted is None else admitted,
        limit=amount,
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
