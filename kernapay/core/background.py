"""Work that no request waits for."""

import asyncio
from collections.abc import Callable, Coroutine


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
