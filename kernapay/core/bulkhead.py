"""Bounded thread pools, one per kind of blocking work: a slow kind cannot starve the others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import ParamSpec, TypeVar

from kernapay.core.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class Bulkhead:
    """A named pool of threads with a bounded queue."""

    def __init__(self, name: str, threads: int, queue: int = 1000) -> None:
        self.name = name
        self.threads = threads
        self._limit = threads + queue
        self._pending = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"kernapay-{name}")

    @property
    def pending(self) -> int:
        """The number of calls that run or wait."""
        return self._pending

    async def run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking call in the pool. Raises Unavailable when the queue is full."""
        if self._pending >= self._limit:
            raise Unavailable(
                f"Too many {self.name} calls are waiting. Repeat the call in a second.",
                retry_after=1,
            )
        with self._lock:
            self._pending += 1
        context = copy_context()
        future = self._pool.submit(lambda: context.run(call, *args, **kwargs))
        # Count down when the thread ends: it goes on after its caller has given up.
        future.add_done_callback(self._count_down)
        return await asyncio.wrap_future(future)

    def _count_down(self, _: object) -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        """Wait for running calls, cancel the waiting ones, end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
