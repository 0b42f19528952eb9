"""The relay turns changes into events. It finds marked rows, stores their events and deliveries, and clears the marker.

It may die at any point, and two relays may work on the same rows. The ids of events and deliveries follow from the
change, so a repeat stores only what is missing. The marker is cleared last, and only if the row is still as it was
read.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

import structlog

from kernapay.core import metrics
from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.metrics import GaugeMetricFamily, start_at_zero
from kernapay.deliveries.drafts import VERSION, Draft, encode_body
from kernapay.deliveries.events.repository import EventRepository, ListenerRepository, ListenerRow
from kernapay.deliveries.ids import make_delivery_id
from kernapay.deliveries.matching import match
from kernapay.deliveries.models import DeliveryState, EventType
from kernapay.deliveries.sources import Change, Source
from kernapay.storage.locks import Turn
from kernapay.storage.signals import Signaller

_log = structlog.get_logger("kernapay.events")
_BATCH: Final = 200
# Of one statement. A report may have thousands of findings, and each is for every endpoint of administrators.
_MOST_ROWS: Final = 1000
# Long enough for a person to see the alarm, and short for what a restart repairs.
_UNRENDERABLE_PAUSE: Final = timedelta(minutes=10)
# A little less than workers look by themselves: the relay that has the turn may die.
_IDLE_SECONDS: Final = 0.9
NEW_DELIVERIES: Final = "new"
"""The only signal of the channel of deliveries."""
Row = dict[str, Any]

_STORED: Final = metrics.Counter(
    "kernapay_events_stored_total", "Events that were made of changes, by type", ("type",)
)
_UNRENDERABLE: Final = metrics.Counter(
    "kernapay_events_unrenderable_total",
    "Attempts to make events of a changed row that failed, by kind of row",
    ("source",),
)
start_at_zero(_STORED, [event_type.value for event_type in EventType])


class Relay:
    def __init__(
        self,
        sources: Sequence[Source],
        events: EventRepository,
        listeners: ListenerRepository,
        clock: Clock = now,
        *,
        signaller: Signaller | None = None,
        turn: Turn | None = None,
        always_stores: bool = False,
    ) -> None:
        """Without `always_stores`, events are stored only while there are endpoints.

        With a `turn`, the relay works only while it holds that. It signals new deliveries, so that the dispatcher
        need not wait for its next look.
        """
        self._sources = sources
        self._events = events
        self._listeners = listeners
        self._clock = clock
        self._signaller = signaller
        self._turn = turn
        self._idle_until = 0.0
        self._always_stores = always_stores
        start_at_zero(_UNRENDERABLE, [source.name for source in sources])

    async def sweep(self) -> bool:
        """Make the events of some due changes of each kind. Return False if none was due. Raises Unavailable."""
        if monotonic() < self._idle_until:
            return False
        worked = [await self._sweep(source) for source in self._sources]
        return any(worked)

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return how long the oldest change has waited for its event, by kind of row. Raises Unavailable."""
        at = self._clock()
        family = GaugeMetricFamily(
            "kernapay_events_oldest_seconds",
            "For how long the oldest change has been waiting for the relay, 0 if none waits",
            labels=("source",),
        )
        for source in self._sources:
            oldest = await source.oldest()
            waits = (at - oldest).total_seconds() if oldest else 0.0
            family.add_metric((source.name,), max(0.0, waits))
        return [family]

    async def _sweep(self, source: Source) -> bool:
        at = self._clock()
        changes = await source.read(at, _BATCH)
        broken = changes.unreadable
        found = changes.found
        if found and self._turn is not None and not await self._turn.is_ours():
            # Each signal wakes the relays of all workers. Only one of them need read what has changed.
            self._idle_until = monotonic() + _IDLE_SECONDS
            return False
        if found:
            # After the rows: an endpoint that was there before a change is in the list.
            listeners = await self._listeners.listening()
            crash_point("relay.read")
            if listeners or self._always_stores:
                found, broken = [], [*broken]
                for part in _render(changes.found, listeners, at):
                    found += part.changes
                    broken += part.broken
                    if part.events:
                        await self._events.store(part.events, part.deliveries)
                    if part.deliveries and self._signaller is not None:
                        self._signaller.signal(NEW_DELIVERIES)
                    _count(part.events)
            await source.end(found)
            crash_point("relay.cleared")
        if broken:
            _UNRENDERABLE.labels(source.name).inc(len(broken))
            await source.put_off(broken, at + _UNRENDERABLE_PAUSE)
        return bool(found)


@dataclass(slots=True)
class _Rendered:
    """Rows to store. They complete `changes`; `broken` has the ids of rows of which no event can be made."""

    changes: list[Change] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return len(self.events) + len(self.deliveries) >= _MOST_ROWS

    def add(self, draft: Draft, listeners: Sequence[ListenerRow], at: datetime) -> None:
        matches = list(match(draft, listeners))
        versions = {VERSION, *(listener.version for listener, _ in matches)}
        self.events.append(_event_row(draft, versions))
        self.deliveries += [_delivery_row(draft, each.id, after, at) for each, after in matches]


def _render(
    changes: Sequence[Change], listeners: Sequence[ListenerRow], at: datetime
) -> Iterator[_Rendered]:
    """Yield the rows to store in parts. A change with many events fills several."""
    part = _Rendered()
    for change in changes:
        own = _Rendered()
        try:
            for draft in change.draft():
                own.add(draft, listeners, at)
                if own.is_full:
                    yield own
                    own = _Rendered()
        except Exception as error:
            # Whatever is wrong with one row, or with what is made of it, the others do not wait for its repair.
            _log.error("event_unrenderable", row=change.row_id, exc_info=error)
            part.broken.append(change.row_id)
            continue
        part.changes.append(change)
        part.events += own.events
        part.deliveries += own.deliveries
        if part.is_full:
            yield part
            part = _Rendered()
    yield part


def _count(events: Sequence[Row]) -> None:
    for event_type, number in Counter(row["type"] for row in events).items():
        _STORED.labels(event_type).inc(number)


def _event_row(draft: Draft, versions: set[int]) -> Row:
    mark = draft.mark
    row = {
        "_id": mark.id,
        "type": mark.type.value,
        "at": mark.at,
        "subject": mark.subject,
        "seq": mark.seq,
        "shopId": mark.shop_id,
        "providerId": mark.provider_id,
        "serviceType": mark.service_type,
        "livemode": mark.livemode,
        "bodies": {str(version): encode_body(draft, version) for version in sorted(versions)},
    }
    return {name: value for name, value in row.items() if value is not None}


def _delivery_row(draft: Draft, endpoint_id: str, after: str | None, at: datetime) -> Row:
    mark = draft.mark
    row = {
        "_id": make_delivery_id(mark.id, endpoint_id),
        "endpoint": endpoint_id,
        "event": mark.id,
        "after": after,
        "subject": mark.subject,
        "seq": mark.seq,
        "type": mark.type.value,
        "state": DeliveryState.PENDING.value,
        "nextAt": at,
        "attempts": 0,
    }
    return {name: value for name, value in row.items() if value is not None}
