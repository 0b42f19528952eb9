"""Share a scarce resource of this process fairly among subjects."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from kernapay.core.errors import TooManyRequests

_RETRY_SECONDS = 1


class FairShare:
    """Admit work in turn, one subject after another. A subject is an account or a client address.

    A subject with hundreds of calls delays others by the work that it has running, not by the work that it has waiting.
    """

    def __init__(
        self,
        *,
        per_subject: int,
        in_flight: int,
        total: int | None = None,
        patience: float | None = None,
    ) -> None:
        """Admit `per_subject` calls of one subject at once, and `total` of all (None: without limit).

        `in_flight` is how many calls of one subject may run and wait, or of one of its parts, each of which is counted
        by itself. `patience` is how many seconds a call waits.
        """
        self._patience = patience
        self._per_subject = per_subject
        self._in_flight = in_flight
        self._total = total
        self._running: Counter[str] = Counter()
        self._flights: Counter[tuple[str, str | None]] = Counter()
        # In the order of their turns.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, subject: str, part: str | None = None) -> AsyncIterator[None]:
        """Wait for a turn and keep it during the block. `part` is a part of the subject, such as a customer.

        Raises TooManyRequests if too many calls of the part are in flight, or if no turn came in time.
        """
        with self._flight((subject, part)):
            if not self._waiting and self._is_free(subject):
                self._running[subject] += 1
            else:
                await self._wait_patiently(subject)
            try:
                yield
            finally:
                self._release(subject)

    def has_room(self, subject: str) -> bool:
        """Return whether the subject's own calls leave room for another one at once."""
        return self._count(subject) < self._per_subject

    def _count(self, subject: str) -> int:
        return self._running[subject] + len(self._waiting.get(subject, ()))

    async def _wait_patiently(self, subject: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._wait(subject)
        except TimeoutError as error:
            raise _too_many() from error

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
        return next((s for s in self._waiting if self._is_free(s)), None)

    def _is_free(self, subject: str) -> bool:
        has_room = self._total is None or self._running.total() < self._total
        return has_room and self._running[subject] < self._per_subject

    @contextmanager
    def _flight(self, of: tuple[str, str | None]) -> Iterator[None]:
        if self._flights[of] >= self._in_flight:
            raise _too_many()
        self._flights[of] += 1
        try:
            yield
        finally:
            self._flights[of] -= 1
            if not self._flights[of]:
                del self._flights[of]

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


def _too_many() -> TooManyRequests:
    return TooManyRequests(
        "Too many of your requests are running at once. Repeat the call in a second.",
        retry_after=_RETRY_SECONDS,
    )
