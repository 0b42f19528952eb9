"""Limit attempts that are expensive or may be guesses, per subject."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from kernapay.core.errors import InvalidInput, KernaPayError, Unauthenticated
from kernapay.security.rate_limits import RateLimiter


class FailedAttempts:
    """Slow down guessing: count the failures of a subject, and refuse its next attempt before it costs anything.

    The limit has several windows, each longer than the one before: the wait grows with further failures.
    """

    def __init__(self, limiter: RateLimiter, name: str, excess: str) -> None:
        """`name` is the name of the rate limit, and `excess` the message of a refusal."""
        self._limiter = limiter
        self._name = name
        self._excess = excess
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def guard(self, subject: str, *failures: type[KernaPayError]) -> AsyncIterator[None]:
        """Enclose an attempt. Count it if the block raises one of the failures.

        Raises TooManyRequests without running the block.
        """
        if not self._limiter.is_limited(self._name):
            yield
            return
        # One attempt at a time: otherwise a burst of guesses is admitted before the first is counted.
        async with self._locks.setdefault(subject, asyncio.Lock()):
            await self._limiter.require_room(self._name, subject, self._excess)
            try:
                yield
            except failures:
                await self._limiter.hit(self._name, subject)
                raise

    async def reset(self, subject: str) -> None:
        """Delete the count of the subject's failures."""
        await self._limiter.clear(self._name, subject)


class PasswordAttempts:
    """Limit the checks of passwords, both right and wrong ones.

    Wrong ones count per account and address, so that a stranger cannot lock out the owner. Right ones count per
    account: only its owner makes them.
    """

    WRONG: Final = "wrong_password"
    RIGHT: Final = "right_password"

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._wrong = FailedAttempts(limiter, self.WRONG, "Too many wrong passwords.")

    @asynccontextmanager
    async def guard(self, account: str, address: str) -> AsyncIterator[None]:
        """Enclose the check of a password. It is wrong if the block raises Unauthenticated or InvalidInput.

        Raises TooManyRequests without running the block.
        """
        async with self._wrong.guard(_pair(account, address), Unauthenticated, InvalidInput):
            await self._limiter.require_room(self.RIGHT, account, "Too many sign-ins.")
            yield
            await self._limiter.hit(self.RIGHT, account)

    async def reset(self, account: str, address: str) -> None:
        """Delete the count of wrong passwords, after the caller has proved to be the owner."""
        await self._wrong.reset(_pair(account, address))


def _pair(account: str, address: str) -> str:
    return f"{account} {address}"
