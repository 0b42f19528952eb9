"""Limit the calls that run at once on the event loop, as a bulkhead limits blocking calls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

from kernapay.core.errors import Unavailable


class NoFreeSlot(Exception):
    """No slot came in time."""


class Slots:
    """A named number of slots with a bounded queue."""

    def __init__(self, name: str, size: int, queue: int = 1000) -> None:
        self.name = name
        self.size = size
        self.pending = 0
        """The number of calls that run or wait."""
        self.observe_wait: Callable[[float], None] = lambda _: None
        """Called with the seconds that each call waited for its slot."""
        self._limit = size + queue
        self._free = asyncio.Semaphore(size)
        self._idle = asyncio.Event()

    @asynccontextmanager
    async def slot(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait for a slot, at most this many seconds, and keep it during the block.

        Raises NoFreeSlot, and Unavailable if the queue is full.
        """
        if self.pending >= self._limit:
            raise Unavailable(
                f"Too many {self.name} calls are waiting. Repeat the call in a second.",
                retry_after=1,
            )
        self.pending += 1
        begin = perf_counter()
        try:
            await self._acquire(seconds)
            try:
                self.observe_wait(perf_counter() - begin)
                yield
            finally:
                self._free.release()
        finally:
            self.pending -= 1
            if not self.pending:
                self._idle.set()

    async def _acquire(self, seconds: float | None) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise NoFreeSlot from error

    async def wait_until_idle(self) -> None:
        """Wait until no call runs or waits."""
        while self.pending:
            self._idle.clear()
            await self._idle.wait()
