"""Measure this process: the delay of its event loop, and the use of its pools of threads and slots."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.metrics import LIVE_SUM, Gauge, Histogram, publish_tallies
from kernapay.core.slots import Slots

_INTERVAL: Final = 0.25  # seconds
DELAYS: Final = Histogram(
    "kernapay_event_loop_delay_seconds",
    "How late the event loop was, measured four times a second",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_POOL: Final = ("pool",)
WAITS: Final = Histogram(
    "kernapay_pool_wait_seconds",
    "Time that calls waited for a thread or slot of a pool",
    _POOL,
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
THREADS: Final = Gauge(
    "kernapay_pool_threads",
    "Threads of a pool, or its slots",
    _POOL,
    multiprocess_mode=LIVE_SUM,
)
BUSY: Final = Gauge(
    "kernapay_pool_busy_threads",
    "Threads or slots of a pool that work",
    _POOL,
    multiprocess_mode=LIVE_SUM,
)
WAITING: Final = Gauge(
    "kernapay_pool_waiting_calls",
    "Calls that wait for a thread or slot of a pool",
    _POOL,
    multiprocess_mode=LIVE_SUM,
)


class ProcessMetrics:
    """Measures in the background, and publishes the tallies about once a second."""

    def __init__(self, pools: Sequence[Bulkhead | Slots]) -> None:
        self._pools = [(pool, BUSY.labels(pool.name), WAITING.labels(pool.name)) for pool in pools]
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        for pool, _, _ in self._pools:
            THREADS.labels(pool.name).set(pool.size)
            pool.observe_wait = WAITS.labels(pool.name).observe
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        publish_tallies()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            for _ in range(round(1 / _INTERVAL)):
                due = clock() + _INTERVAL
                await asyncio.sleep(_INTERVAL)
                DELAYS.observe(max(0.0, clock() - due))
            for pool, busy, waiting in self._pools:
                pending = pool.pending
                busy.set(min(pending, pool.size))
                waiting.set(max(0, pending - pool.size))
            publish_tallies()
