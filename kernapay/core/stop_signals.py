"""Act on a stop signal while the server still serves."""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def call_before_stop(call: Callable[[], None], delay: float) -> None:
    """Call on the running event loop `delay` seconds after a signal to stop came, beside what the server does then.

    Call this in the main thread, when the server has its own handlers. The server's shutdown event comes too late for
    what it waits for: it shuts down when all connections have ended.
    """
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        before = signal.getsignal(number)

        def handle(
            number: int,
            frame: FrameType | None,
            before: Callable[[int, FrameType | None], object] | int | None = before,
        ) -> None:
            loop.call_soon_threadsafe(loop.call_later, delay, call)
            if callable(before):
                before(number, frame)

        signal.signal(number, handle)
