"""The safety net of the relay: find payments with steps that have no event, and mark them for it.

An older version, which runs beside this one during an upgrade, adds steps without the marker.
"""

from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.metrics import Counter
from kernapay.storage.relay_notes import RelayNotes

_log = structlog.get_logger("kernapay.events")
_BETWEEN_LOOKS: Final = timedelta(minutes=1)
# The largest window of one look: it reads every payment that changed in it.
_WINDOW: Final = timedelta(hours=1)
# Clocks differ, and what changed just now may still be under way to its marker's end.
_SETTLED: Final = timedelta(minutes=5)
_OVERLAP: Final = timedelta(minutes=10)
_MARKED: Final = Counter(
    "kernapay_events_untold_total",
    "Payments with steps that no event told of, which were found and marked",
)


class Marking(Protocol):
    async def mark_untold(self, after: datetime, before: datetime, since: datetime) -> int: ...


class UntoldSteps:
    def __init__(self, payments: Marking, notes: RelayNotes, clock: Clock = now) -> None:
        self._payments = payments
        self._notes = notes
        self._clock = clock
        self._next_look: datetime | None = None

    async def sweep(self) -> bool:
        """Look through the next hour of changes, once it is over. Return whether there may be more to look through.

        Raises Unavailable.
        """
        at = self._clock()
        if self._next_look is not None and at < self._next_look:
            return False
        self._next_look = at + _BETWEEN_LOOKS
        until = await self._notes.looked_until()
        before = until + _WINDOW
        if before > at - _SETTLED:
            return False
        since = await self._notes.events_since()
        marked = await self._payments.mark_untold(until - _OVERLAP, before, since)
        if marked:
            _MARKED.inc(marked)
            _log.warning("steps_untold", payments=marked, before=before.isoformat())
        self._next_look = None
        return await self._notes.note_look(before)
