"""One stream's side of a watched payment."""

import asyncio
from enum import StrEnum

from kernapay.live.dtos import LivePayment


class Ending(StrEnum):
    """Why a stream ends. The client gets all reasons but the last two."""

    FINAL = "final"
    AGE = "age"
    RESTART = "restart"
    ACCESS = "access"
    GONE = "gone"
    TOO_SLOW = "too_slow"


class Watch:
    """The news for one stream. Only the newest row is kept, so nothing piles up for a client that reads slowly."""

    __slots__ = ("_bell", "due", "ending", "ends_at", "is_beat_due", "payment_id", "row", "steps")

    def __init__(self, payment_id: str, steps: int, due: float, ends_at: float) -> None:
        """Begin with the steps that the stream knows. `due` is the time of its next heartbeat."""
        self.payment_id = payment_id
        self.steps = steps
        self.due = due
        self.ends_at = ends_at
        self.row: LivePayment | None = None
        self.is_beat_due = False
        self.ending: Ending | None = None
        self._bell: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until there is a row, a heartbeat is due, or the stream has to end."""
        if self.row is None and self.ending is None and not self.is_beat_due:
            self._bell = asyncio.get_running_loop().create_future()
            try:
                await self._bell
            finally:
                self._bell = None

    def take(self) -> tuple[LivePayment | None, bool]:
        """Return the newest row, once, and whether a heartbeat is due."""
        taken = self.row, self.is_beat_due
        self.row, self.is_beat_due = None, False
        return taken

    def offer(self, row: LivePayment) -> None:
        """Pass a row to the stream, if its number of steps differs from the last one."""
        if len(row.history) != self.steps:
            self.steps = len(row.history)
            self.row = row
            self._ring()

    def beat(self) -> None:
        self.is_beat_due = True
        self._ring()

    def end(self, ending: Ending) -> None:
        """End the stream after its last news. The first reason counts."""
        if self.ending is None:
            self.ending = ending
            self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)
