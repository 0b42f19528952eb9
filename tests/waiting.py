"""Waiting for what other processes, threads and tasks do.

The limits are safety nets, generous because machines are busy; no test is about them. Who has waited for longer looks
less often: each look may ask a server.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import Final, TypeVar

ResultT = TypeVar("ResultT")
_LONGEST_PAUSE: Final = 0.1


def _pauses() -> Iterator[float]:
    pause = 0.01
    while True:
        yield pause
        pause = min(1.2 * pause, _LONGEST_PAUSE)


def eventually(look: Callable[[], ResultT | None], timeout: float = 120) -> ResultT:
    """Return the first true result; fail after the timeout in seconds."""
    deadline = time.monotonic() + timeout
    pauses = _pauses()
    while not (result := look()):
        assert time.monotonic() < deadline, f"still {result!r} after {timeout} s"
        time.sleep(next(pauses))
    return result


async def until(condition: Callable[[], object], within: float = 120) -> None:
    """Wait on the event loop until the condition, which may be asynchronous, holds.

    Raise TimeoutError when that takes longer (seconds).
    """
    async with asyncio.timeout(within):
        for pause in _pauses():
            result = condition()
            if isawaitable(result):
                result = await result
            if result:
                return
            await asyncio.sleep(pause)
