"""Run actions when the sandbox's clock reaches their moment."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.entities import Timer
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.store import Store

Handler = Callable[[str], None]


class HeapEntry(NamedTuple):
    due: float
    sequence: int
    action: str
    target: str
    timer_id: str | None


class Scheduler:
    """A heap of timers. Those with a row in the store survive a restart."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._heap: list[HeapEntry] = []
        self._sequence = count()
        self._wakeup = asyncio.Event()
        self._handlers: dict[str, Handler] = {}
        clock.on_change(self._wakeup.set)

    def register(self, action: str, handler: Handler) -> None:
        self._handlers[action] = handler

    def load(self) -> None:
        self._heap.clear()
        for timer in self._store.timers:
            self._push(timer.due, timer.action, timer.target, timer.id)

    def schedule(self, seconds: float, action: str, target: str) -> None:
        """Run the action after this many seconds, even if the sandbox restarts before."""
        due = self._clock.now() + seconds
        timer = Timer(id=new_id("timer"), due=due, action=action, target=target)
        self._store.timers.add(timer)
        self._push(due, action, target, timer.id)

    def schedule_unsaved(self, due: float, action: str, target: str) -> None:
        """Run the action at this Unix time. After a restart the caller must schedule it again."""
        self._push(due, action, target, None)

    def run_due(self) -> None:
        while self._heap and self._heap[0].due <= self._clock.now():
            entry = heapq.heappop(self._heap)
            if entry.timer_id is not None and self._store.timers.remove(entry.timer_id) is None:
                continue
            self._handlers[entry.action](entry.target)

    async def run(self) -> None:
        while True:
            self._wakeup.clear()
            self.run_due()
            if self._heap and not self._clock.frozen:
                timeout = max(0.0, self._heap[0].due - self._clock.now())
            else:
                timeout = None
            try:
                async with asyncio.timeout(timeout):
                    await self._wakeup.wait()
            except TimeoutError:
                continue

    def _push(self, due: float, action: str, target: str, timer_id: str | None) -> None:
        entry = HeapEntry(due, next(self._sequence), action, target, timer_id)
        heapq.heappush(self._heap, entry)
        self._wakeup.set()
