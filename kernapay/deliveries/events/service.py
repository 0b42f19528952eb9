"""Show events to those whose payments they are about, and to administrators."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from kernapay.core.clock import in_utc
from kernapay.core.errors import NotFound
from kernapay.core.patterns import DECODE_ERRORS
from kernapay.deliveries.drafts import VERSION
from kernapay.deliveries.events.dtos import EventView
from kernapay.deliveries.events.repository import EventRepository, StoredEvent
from kernapay.deliveries.models import EventType
from kernapay.security.principal import Principal
from kernapay.storage.unreadable import UnreadableRow, report_unreadable

_DISPUTE: Final = "dispute"
"""How the types of events about disputes begin."""


class _Body(msgspec.Struct):
    data: dict[str, Any]


class EventService:
    def __init__(self, events: EventRepository) -> None:
        self._events = events

    async def show(self, principal: Principal, event_id: str) -> EventView:
        """Return an event. Raises NotFound, also when the caller may not see it."""
        return _view(await self._find(principal, event_id))

    async def page(
        self,
        principal: Principal,
        event_type: EventType | None,
        subject: str | None,
        after: datetime | None,
        before: datetime | None,
        cursor: str | None,
        count: int,
    ) -> list[EventView]:
        """Return a page of the events that the caller may see, newest first.

        Raises NotFound when the cursor is no event that the caller may see.
        """
        last = None if cursor is None else await self._find(principal, cursor, "cursor")
        same = {}
        if subject is not None:
            same = {"subject": subject}
        elif not principal.is_admin:
            same = {"shop_id": principal.id}
        types = [event_type] if event_type else list(EventType)
        start, end = in_utc(after, "from"), in_utc(before, "to")
        found = await self._events.page(types, start, end, last, count, **same)
        if not all(_may_see(principal, event) for event in found):
            # All events of a subject are of one account, but for disputes that it may not see: look past those, so that
            # the page is full.
            types = [each for each in types if each.partition(".")[0] != _DISPUTE]
            if not types:
                return []
            found = await self._events.page(types, start, end, last, count, **same)
        return list(_views(event for event in found if _may_see(principal, event)))

    async def _find(
        self, principal: Principal, event_id: str, field: str | None = None
    ) -> StoredEvent:
        event = await self._events.by_id(event_id)
        if event is None or not _may_see(principal, event):
            raise NotFound("No event that you may see has this id.", field=field)
        return event


def _may_see(principal: Principal, event: StoredEvent) -> bool:
    return principal.is_admin or event.shop_id == principal.id


def _views(events: Iterable[StoredEvent]) -> Iterator[EventView]:
    """Yield the events that can be read. Reading has counted and logged the others."""
    for event in events:
        try:
            yield _view(event)
        except UnreadableRow:
            continue


def _view(event: StoredEvent) -> EventView:
    """Return the event with its data. Raises UnreadableRow."""
    # Tests of an endpoint have the version of that endpoint only.
    body = event.bodies.get(str(VERSION)) or next(iter(event.bodies.values()), b"")
    try:
        data = msgspec.json.decode(body, type=_Body).data
    except DECODE_ERRORS as error:
        raise report_unreadable("events", {"_id": event.id}, "its body is no event") from error
    return EventView(
        id=event.id,
        type=event.type,
        timestamp=event.timestamp,
        subject=event.subject,
        sequence=event.sequence,
        data=data,
    )
