"""Waiting for what other processes, threads and tasks do.

The limits are safety nets, generous because machines are busy; no test is about them.
"""

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import TypeVar

ResultT = TypeVar("ResultT")


def eventually(look: Callable[[], ResultT | None], timeout: float = 120) -> ResultT:
    """Return the first true result; fail after the timeout in seconds."""
    deadline = time.monotonic() + timeout
    while not (result := look()):
        assert time.monotonic() < deadline, f"still {result!r} after {timeout} s"
        time.sleep(0.02)
    return result


async def until(condition: Callable[[], object], within: float = 120) -> None:
    """Wait on the event loop until the condition, which may be asynchronous, holds.

    Raise TimeoutError when that takes longer (seconds).
    """
    async with asyncio.timeout(within):
        while True:
            result = condition()
            if isawaitable(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.01)
