"""What is due when, on the sandbox's clock."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from kernapay.sandbox.books import Books
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.entities import Timer
from kernapay.sandbox.ids import new_id

Action = Callable[[str], None]


class Agenda:
    """A heap of moments. Timers are rows, so they outlive a restart."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._heap: list[tuple[float, int, str, str, str | None]] = []
        self._tie = count()
        self._wake = asyncio.Event()
        self.actions: dict[str, Action] = {}
        clock.on_change(self._wake.set)

    def load(self) -> None:
        self._heap.clear()
        for timer in self._books.timers:
            self._push(timer.due, timer.action, timer.target, timer.id)

    def after(self, seconds: float, action: str, target: str) -> None:
        """Call the action with the target once so much time has passed, even across a restart."""
        due = self._clock.now() + seconds
        timer = Timer(id=new_id("timer"), due=due, action=action, target=target)
        self._books.timers.add(timer)
        self._push(due, action, target, timer.id)

    def at(self, due: float, action: str, target: str) -> None:
        """Call the action at that moment; whoever asks must ask again after a restart."""
        self._push(due, action, target, None)

    def run_due(self) -> None:
        while self._heap and self._heap[0][0] <= self._clock.now():
            _, _, action, target, timer_id = heapq.heappop(self._heap)
            if timer_id is not None and self._books.timers.remove(timer_id) is None:
                continue
            self.actions[action](target)

    async def run(self) -> None:
        while True:
            self._wake.clear()
            self.run_due()
            if self._heap and not self._clock.frozen:
                pause = max(0.0, self._heap[0][0] - self._clock.now())
            else:
                pause = None
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _push(self, due: float, action: str, target: str, timer_id: str | None) -> None:
        heapq.heappush(self._heap, (due, next(self._tie), action, target, timer_id))
        self._wake.set()
