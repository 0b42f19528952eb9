"""Work that no request waits for."""

import asyncio
from collections.abc import Callable, Coroutine


class Background:
    """Do things beside the requests, at most one at a time of each name."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin the work, unless one of this name is under way. It has to deal with its own failures."""
        if name not in self._running:
            task = asyncio.get_running_loop().create_task(work())
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name))

    async def drain(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)
