"""Fill the queues with due deliveries, by three reads per turn however many endpoints there are."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from kernapay.core.clock import Clock
from kernapay.deliveries.dispatch.endpoint_queue import BEHIND, EndpointQueue, Loaded, hold_until
from kernapay.deliveries.dispatch.repository import BodyRepository, DueRepository
from kernapay.deliveries.dispatch.rows import DueRow, Note, Predecessor, StoredEvent
from kernapay.deliveries.models import DeliveryState
from kernapay.deliveries.schedule import is_too_old

_BATCH: Final = 400
# For the others, when a few endpoints have filled a reading. Each queue takes less than half of it.
_SMALL_BATCH: Final = 100
# Of one turn, which must end long before the leases do. Endpoints that were fed are not asked for in the next turn.
_MOST_READS: Final = 8
# A second relay may insert the one before a moment later. Filters that were changed leave it out for good.
_MISSING_PATIENCE: Final = timedelta(seconds=60)

TOO_OLD: Final = "not sent: it is older than three days"
NO_BODY: Final = "not sent: the event is no longer stored"


class Turn(NamedTuple):
    """What one read has brought. `notes` are the outcomes of deliveries that are given up without an attempt."""

    notes: list[Note]
    is_full: bool
    """Whether more is due that the queues have room for."""


class Feeder:
    def __init__(self, due: DueRepository, bodies: BodyRepository, clock: Clock) -> None:
        self._due = due
        self._bodies = bodies
        self._clock = clock

    async def fill(self, queues: Mapping[str, EndpointQueue]) -> Turn:
        """Put due deliveries into the queues that have room. Raises Unavailable."""
        hungry = {name: queue for name, queue in queues.items() if queue.is_hungry}
        if not hungry:
            return Turn([], is_full=False)
        begin = time.monotonic()
        new, is_full = await self._read(hungry)
        for queue in hungry.values():
            # Only now: what was noted before this read began cannot be in its answer.
            queue.forget_noted(begin)
        at = self._clock()
        notes = [_given_up(row, at, TOO_OLD) for row in new if is_too_old(at, row.waiting_since)]
        new = _fitting([row for row in new if not is_too_old(at, row.waiting_since)], hungry)
        ready, behind = await self._put_off_held(new, hungry, at)
        events = await self._bodies.read(row.event for row in ready)
        notes += _admit(ready, behind, events, hungry, at)
        return Turn(notes, is_full)

    async def _read(self, queues: Mapping[str, EndpointQueue]) -> tuple[list[DueRow], bool]:
        """Return due rows that are not in memory, and whether there may be more that the queues have room for.

        The rows of an endpoint that does not answer, or has thousands, are the longest due. Once they fill a read, the
        next one leaves that endpoint out, so that the others get their share.
        """
        names = set(queues)
        new: dict[str, DueRow] = {}
        count = _BATCH
        for _ in range(_MOST_READS):
            rows = await self._due.list_due(sorted(names), count)
            fresh = {row.id: row for row in rows if not queues[row.endpoint].knows(row.id)}
            new |= fresh
            if len(rows) < count:
                return list(new.values()), False
            found = Counter(row.endpoint for row in new.values())
            fed = {name for name in names if found[name] >= queues[name].room}
            if not fed and len(fresh) == len(rows):
                return list(new.values()), True
            names -= fed
            if not names:
                return list(new.values()), False
            # All that is known of the rest may come again.
            count = _SMALL_BATCH + sum(found[name] + queues[name].known for name in names)
        return list(new.values()), True

    async def _put_off_held(
        self, rows: Sequence[DueRow], queues: Mapping[str, EndpointQueue], at: datetime
    ) -> tuple[list[DueRow], set[str]]:
        """Return the rows that may be sent, and the ids of those that follow another one in memory.

        Make all others due later, so that they do not fill each read.
        """
        asked = {
            row.predecessor: row.after
            for row in rows
            if row.predecessor and row.after and not queues[row.endpoint].knows(row.predecessor)
        }
        found = await self._due.predecessors(sorted(asked))
        ages = await self._bodies.ages(asked[each] for each in asked.keys() - found.keys())
        ready: list[DueRow] = []
        groups: defaultdict[datetime, list[str]] = defaultdict(list)
        admitted: set[str] = set()
        behind: set[str] = set()
        for row in rows:
            queue, before = queues[row.endpoint], row.predecessor
            if before in admitted or (before is not None and queue.holds(before)):
                behind.add(row.id)
                until = None
            else:
                until = self._hold(row, queue, found, ages, at)
            if until is None:
                admitted.add(row.id)
                ready.append(row)
            else:
                groups[until].append(row.id)
        await self._due.put_off(groups)
        return ready, behind

    def _hold(
        self,
        row: DueRow,
        queue: EndpointQueue,
        found: Mapping[str, Predecessor],
        ages: Mapping[str, datetime],
        at: datetime,
    ) -> datetime | None:
        """Return until when a row waits for its predecessor, which is not in memory; None if it need not wait."""
        before = row.predecessor
        if before is None:
            return None
        if before in queue.finished:
            until = queue.hold_of(before)
        elif before in found:
            other = found[before]
            is_pending = other.state is DeliveryState.PENDING
            until = hold_until(other.next_at if is_pending else None, other.attempts)
        else:
            until = _patience_with_missing(row, ages, at)
        # It may be due and not in memory, for want of room.
        return until and max(until, at + BEHIND)


def _patience_with_missing(
    row: DueRow, ages: Mapping[str, datetime], at: datetime
) -> datetime | None:
    """Return until when to wait for a predecessor that is not stored. It may have been deleted long ago."""
    stored = ages.get(row.after or "", row.created_at)
    until = stored + _MISSING_PATIENCE
    return until if until > at else None


def _fitting(rows: Sequence[DueRow], queues: Mapping[str, EndpointQueue]) -> list[DueRow]:
    """Return the rows that their queues have room for."""
    room = {name: queue.room for name, queue in queues.items()}
    fitting = []
    for row in rows:
        if room[row.endpoint] > 0:
            room[row.endpoint] -= 1
            fitting.append(row)
    return fitting


def _admit(
    rows: Sequence[DueRow],
    behind: Collection[str],
    events: Mapping[str, StoredEvent],
    queues: Mapping[str, EndpointQueue],
    at: datetime,
) -> list[Note]:
    """Put rows into their queues. Return the outcomes of those whose event is no longer stored.

    A row `behind` another one is left to the next read if that one has failed while the bodies were read.
    """
    notes = []
    for row in rows:
        queue = queues[row.endpoint]
        if row.id in behind and not queue.may_follow(str(row.predecessor)):
            continue
        event = events.get(row.event)
        body = None if event is None else event.bodies.get(str(queue.endpoint.version))
        if body is None:
            notes.append(_given_up(row, at, NO_BODY))
        else:
            queue.admit(Loaded(row, body))
    return notes


def _given_up(row: DueRow, at: datetime, reason: str) -> Note:
    return Note(row, DeliveryState.FAILED, at, reason=reason)
