"""The queries on events: the relay stores them, and people list them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct, field
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Unavailable
from kernapay.deliveries.events.dtos import EventHead
from kernapay.deliveries.models import Delivery, Endpoint, EndpointState, EventType, OutgoingEvent
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import ReadOnlyRepository, Repository, Row

_DUPLICATE_KEY: Final = 11000
_PRESENT: Final = (EndpointState.ON, EndpointState.OFF, EndpointState.DISABLED)
_NEWEST: Final = (OrderBy("at", descending=True), OrderBy("id", descending=True))


class ListenerRow(Struct, rename="camel"):
    """The columns of an endpoint that the relay needs."""

    id: str = field(name="_id")
    since: datetime
    state: EndpointState
    created_at: datetime | None = None
    version: int = 1
    owner: str | None = None
    # Also those that only a later version knows, which may run beside this one.
    types: list[str] = []
    service_types: list[str] = []
    providers: list[str] = []


class ListenerRepository(ReadOnlyRepository[Endpoint]):
    model = Endpoint

    async def listening(self) -> list[ListenerRow]:
        """Return the endpoints, also disabled ones: events of that time can be replayed to them later."""
        return await self.select(ListenerRow, state__in=_PRESENT)


class StoredEvent(EventHead, kw_only=True, rename="camel"):
    """An event with its bodies, by version of the payload."""

    shop_id: str | None = None
    bodies: dict[str, bytes] = field(default_factory=dict)


class EventRepository(Repository[OutgoingEvent]):
    model = OutgoingEvent

    def __init__(self, mongo: Mongo, kept: timedelta, clock: Clock = now) -> None:
        """`kept` is how long events, and deliveries that stay unfinished, are kept."""
        super().__init__(mongo, clock)
        self._kept = kept

    async def insert(self, events: Sequence[OutgoingEvent], deliveries: Sequence[Delivery]) -> None:
        """Store events, and then their deliveries. Those that are stored already stay as they are.

        Whoever finds the same change makes the same events, so a repeat adds what the first run lacked.
        """
        await self.store([_row(each) for each in events], [_row(each) for each in deliveries])

    async def store(self, events: Sequence[Row], deliveries: Sequence[Row]) -> None:
        """Store events and deliveries, as `insert` does, from rows without their times."""
        at = self.clock()
        times = {"createdAt": at, "expiresAt": at + self._kept}

        def write() -> None:
            _insert_missing(self._collection, [{**row, **times} for row in events])
            crash_point("relay.events")
            rows: Collection[Row] = Delivery._get_collection()
            # Those of an endpoint that stays off are never attempted.
            new = [{**row, **times} for row in deliveries]
            half = len(new) // 2
            _insert_missing(rows, new[:half])
            crash_point("relay.half")
            _insert_missing(rows, new[half:])
            crash_point("relay.deliveries")

        await self._run(write)

    async def page(
        self,
        types: Sequence[EventType],
        after: datetime | None,
        before: datetime | None,
        cursor: EventHead | None,
        count: int,
        **same: str,
    ) -> list[StoredEvent]:
        """Return a page, newest first, of one `shop_id`, of one `subject`, or of all.

        With a `cursor`, start after that event.
        """
        where: dict[str, Any] = {**same, "type__in": list(types)}
        if cursor is not None:
            beside = {"at": cursor.timestamp, "_id": {"$lt": cursor.id}}
            where["__raw__"] = {"$or": [{"at": {"$lt": cursor.timestamp}}, beside]}
            # Implied, but only a bound of its own lets the index begin there.
            where["at__lte"] = cursor.timestamp
        return await self.select(
            StoredEvent, BeforeAfter("at", before, after), *_NEWEST, LimitOffset(count), **where
        )

    async def of_subjects(self, subjects: Sequence[str]) -> list[StoredEvent]:
        """Return all events about these subjects."""
        where = {"subject__in": list(subjects), "type__in": list(EventType)}
        return await self.select(StoredEvent, **where)

    async def replace_bodies(self, event_id: str, bodies: Mapping[str, bytes]) -> None:
        """Store other bytes for those of an event."""
        change = {"$set": {"bodies": dict(bodies)}}
        await self._run(lambda: self._collection.update_one({"_id": event_id}, change))

    async def by_id(self, event_id: str) -> StoredEvent | None:
        return await self.select_one(StoredEvent, id=event_id)


def _row(document: OutgoingEvent | Delivery) -> Row:
    row: Row = document.to_mongo()
    return row


def _insert_missing(collection: Collection[Row], rows: Sequence[Row]) -> None:
    """INSERT ... ON CONFLICT DO NOTHING. Return once a majority has all rows, old and new."""
    if not rows:
        return
    try:
        collection.insert_many(rows, ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            raise Unavailable("The database did not confirm the write. It is repeated.") from error
        if any(each["code"] != _DUPLICATE_KEY for each in error.details["writeErrors"]):
            raise
