"""Concurrent work: beside the requests, and several calls at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Run work beside the requests, at most one task per name."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Start the work, unless a task of this name is running. The work handles its own errors."""
        if name not in self._running:
            task = asyncio.get_running_loop().create_task(work())
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name))

    async def drain(self) -> None:
        """Wait for every running task."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)


async def gather_all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the calls at the same time, wait for all even if one fails, and return their results or raise an error."""
    results: list[T] = []
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results
