"""Share a scarce resource of this process among subjects, so that each waits for its own work only."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kernapay.core.errors import TooManyRequests

_RETRY_SECONDS = 1


class FairShare:
    """Admit work in turn, one subject after another. A subject is an account or a client address.

    A subject with hundreds of calls delays others by the work that it has running, not by the work that it has waiting.
    """

    def __init__(self, *, per_subject: int, in_flight: int, total: int | None = None) -> None:
        """Admit `per_subject` calls of one subject at once, and `total` of all (None: without limit).

        `in_flight` is how many calls of one subject may run and wait.
        """
        self._per_subject = per_subject
        self._in_flight = in_flight
        self._total = total
        self._running: Counter[str] = Counter()
        # In the order of their turns.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, subject: str) -> AsyncIterator[None]:
        """Wait for a turn and keep it during the block.

        Raises TooManyRequests at once if too many calls of the subject are in flight.
        """
        queue = self._waiting.get(subject)
        if self._running[subject] + (len(queue) if queue else 0) >= self._in_flight:
            raise TooManyRequests(
                "Too many of your requests are running at once. Repeat the call in a second.",
                retry_after=_RETRY_SECONDS,
            )
        await self._wait(subject)
        try:
            yield
        finally:
            self._release(subject)

    async def _wait(self, subject: str) -> None:
        # Even if there is room: whoever waits already comes first.
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subject, deque()).append(mine)
        self._admit()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                self._forget(subject, mine)
            else:
                self._release(subject)  # admitted and cancelled in the same turn of the loop
            raise

    def _admit(self) -> None:
        while (subject := self._find_next()) is not None:
            mine = self._waiting[subject].popleft()
            self._waiting.move_to_end(subject)
            if not self._waiting[subject]:
                del self._waiting[subject]
            if not mine.done():
                self._running[subject] += 1
                mine.set_result(None)

    def _find_next(self) -> str | None:
        if self._total is not None and self._running.total() >= self._total:
            return None
        return next((s for s in self._waiting if self._running[s] < self._per_subject), None)

    def _forget(self, subject: str, mine: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(subject)
        if queue is not None and mine in queue:
            queue.remove(mine)
            if not queue:
                del self._waiting[subject]

    def _release(self, subject: str) -> None:
        self._running[subject] -= 1
        if not self._running[subject]:
            del self._running[subject]
        self._admit()
