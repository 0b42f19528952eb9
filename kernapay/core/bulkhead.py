"""Bounded thread pools, one per kind of blocking work: a slow kind cannot starve the others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

from kernapay.core.deadlines import Deadline
from kernapay.core.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class Bulkhead:
    """A named pool of threads with a bounded queue."""

    def __init__(self, name: str, threads: int, queue: int = 1000) -> None:
        self.name = name
        self.size = threads
        self._limit = threads + queue
        self.observe_wait: Callable[[float], None] = _observe_nothing
        """Called in the thread with the seconds that each call waited for it."""
        self._calls: set[Future[Any]] = set()
        self._has_thread = False
        self._is_closed = False
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix=f"kernapay-{name}", initializer=self._note_thread
        )

    @property
    def pending(self) -> int:
        """The number of calls that run or wait."""
        return len(self._calls)

    async def run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking call in the pool. Raises Unavailable if the queue is full or there is no thread."""
        if self.pending >= self._limit:
            raise Unavailable(
                f"Too many {self.name} calls are waiting. Repeat the call in a second.",
                retry_after=1,
            )
        context = copy_context()
        begin = perf_counter()

        def run() -> R:
            self.observe_wait(perf_counter() - begin)
            return context.run(call, *args, **kwargs)

        future: Future[R] = Future()
        self._calls.add(future)
        # It counts until the thread ends: that goes on after its caller has given up.
        future.add_done_callback(self._calls.discard)
        self._submit(future, run)
        return await asyncio.wrap_future(future)

    async def run_within(
        self, deadline: Deadline, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a call to another service, which ends at its deadline and frees its thread.

        A call that still waits for a thread then never runs. Raises TimeoutError, and Unavailable like `run`.
        """

        def hold() -> R:
            with deadline.holding():
                return call(*args, **kwargs)

        try:
            async with asyncio.timeout(deadline.remaining):
                return await self.run(hold)
        except asyncio.CancelledError:
            # Nobody waits for the answer any more, so it must not keep its thread.
            deadline.cut()
            raise

    def _submit(self, future: "Future[R]", call: Callable[[], R]) -> None:
        try:
            self._pool.submit(_run, future, call)
        except RuntimeError as error:
            # The executor queues a call before it starts a thread for it. If a thread is there, it takes the call.
            # If not, cancel the call: it must not run after its caller was told that it failed.
            if (self._is_closed or not self._has_thread) and future.cancel():
                raise Unavailable(
                    f"No thread can be started for {self.name} calls. Repeat the call in a few seconds."
                ) from error

    def _note_thread(self) -> None:
        self._has_thread = True

    def close(self) -> None:
        """Wait for running calls, cancel the waiting ones, end the threads."""
        self._is_closed = True
        for future in tuple(self._calls):
            future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _observe_nothing(_: float) -> None:
    """Do nothing: a command measures no waiting."""


def _run(future: "Future[R]", call: Callable[[], R]) -> None:
    """Run the call, unless it was cancelled while it waited, and store its outcome."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
