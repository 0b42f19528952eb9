"""Queries on deliveries that people ask for. Those of the dispatcher are in `dispatch/repository.py`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct, field

from kernapay.core.clock import Clock, now
from kernapay.deliveries.dtos import DeliveryDetail, DeliveryView
from kernapay.deliveries.ids import event_ids_of_row
from kernapay.deliveries.models import Delivery, DeliveryState, EventType, OutgoingEvent
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import ReadOnlyRepository, Repository, Rows

_EVENTS_AT_ONCE: Final = 100
_MOST_COUNTED: Final = 10_000
# A payment has some dozens.
_MOST_OF_SUBJECT: Final = 200


class _Failed(Struct, rename="camel"):
    id: str = field(name="_id")
    created_at: datetime


class DeliveryRepository(Repository[Delivery]):
    model = Delivery

    def __init__(self, mongo: Mongo, kept: timedelta, clock: Clock = now) -> None:
        """`kept` is how long deliveries are kept that stay unfinished after a replay."""
        super().__init__(mongo, clock)
        self._kept = kept

    async def page(
        self,
        endpoint_id: str,
        state: DeliveryState | None,
        start: datetime | None,
        end: datetime | None,
        after: DeliveryView | None,
        count: int,
    ) -> list[DeliveryView]:
        """Return a page of the deliveries to an endpoint, newest first."""
        states = [state] if state else list(DeliveryState)
        where: dict[str, Any] = {"endpoint_id": endpoint_id, "state__in": states}
        if after is not None:
            # In this order it goes on after that one, also among those that were stored at the same time.
            same = {"createdAt": after.created_at, "_id": {"$lt": after.id}}
            where["__raw__"] = {"$or": [{"createdAt": {"$lt": after.created_at}}, same]}
            # Implied, but only a bound of its own lets the index begin there.
            where["created_at__lte"] = after.created_at
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        window = BeforeAfter("created_at", end, start)
        return await self.select(DeliveryView, window, *newest, LimitOffset(count), **where)

    async def view(self, delivery_id: str) -> DeliveryView | None:
        return await self.select_one(DeliveryView, id=delivery_id)

    async def detail(self, delivery_id: str) -> DeliveryDetail | None:
        return await self.select_one(DeliveryDetail, id=delivery_id)

    async def list_of_row(self, row_id: str, count: int) -> list[DeliveryDetail]:
        """Return deliveries of what changed in a row, such as a payment."""
        first = event_ids_of_row(row_id)
        # The ids of its events begin alike, and so do those of their deliveries.
        return await self.select(
            DeliveryDetail,
            OrderBy("id"),
            LimitOffset(count),
            id__gte=first,
            id__lt=first[:-1] + chr(ord(first[-1]) + 1),
        )

    async def count_pending(self, endpoint_id: str) -> int:
        return await self.count(
            LimitOffset(_MOST_COUNTED), endpoint_id=endpoint_id, state=DeliveryState.PENDING
        )

    async def count_failed(self) -> int:
        """Count the deliveries to all endpoints that were given up, up to 10,000."""
        return await self.count(LimitOffset(_MOST_COUNTED), state=DeliveryState.FAILED)

    async def failed_in(
        self, endpoint_id: str, start: datetime, end: datetime, count: int
    ) -> list[tuple[str, datetime]]:
        """Return the ids of deliveries that were given up, with when they were stored, oldest first."""
        found = await self.select(
            _Failed,
            BeforeAfter("created_at", end, start),
            OrderBy("created_at"),
            OrderBy("id"),
            LimitOffset(count),
            endpoint_id=endpoint_id,
            state=DeliveryState.FAILED,
        )
        return [(each.id, each.created_at) for each in found]

    async def replay(self, delivery_ids: Sequence[str]) -> int:
        """Make deliveries pending and due, as if they were new. Return how many there are."""
        at = self.clock()
        change = {
            "$set": {
                "state": DeliveryState.PENDING.value,
                "nextAt": at,
                "replayedAt": at,
                "attempts": 0,
                "expiresAt": at + self._kept,
            },
            "$unset": {"doneAt": True},
        }
        ids = list(delivery_ids)
        if not ids:
            return 0
        return await self._run(
            lambda: self._collection.update_many({"_id": {"$in": ids}}, change).matched_count
        )

    async def end_waiting(self, delivery_ids: Sequence[str]) -> None:
        """Make deliveries that wait for another one due. The dispatcher postpones those that must still wait."""
        where = {
            "_id": {"$in": list(delivery_ids)},
            "state": DeliveryState.PENDING.value,
            # What failed itself has a pause of its own.
            "attempts": 0,
        }
        change = {"$min": {"nextAt": self.clock()}}
        await self._run(lambda: self._collection.update_many(where, change))

    async def forget_answers(self, event_ids: Sequence[str]) -> None:
        """Remove the answers of endpoints to these events: they may quote what the endpoint received."""

        def forget(some: Sequence[str]) -> None:
            # Of each, whatever endpoint got it: `make_delivery_id` says how their ids begin.
            ranges = [{"_id": {"$gt": f"{each}:", "$lt": f"{each};"}} for each in some]
            rows = self._collection.find({"$or": ranges}, {"log.excerpt": 1})
            ids = [row["_id"] for row in rows if any(row.get("log", ()))]
            if ids:
                excerpts = {"$unset": {"log.$[].excerpt": True}}
                self._collection.update_many({"_id": {"$in": ids}}, excerpts)

        for start in range(0, len(event_ids), _EVENTS_AT_ONCE):
            await self._run(forget, event_ids[start : start + _EVENTS_AT_ONCE])

    async def delete_some(self, endpoint_id: str, count: int) -> int:
        """Delete up to `count` deliveries to an endpoint. Return how many were there."""
        states = list(DeliveryState)
        found: Rows[_Failed] = await self.select(
            _Failed, LimitOffset(count), endpoint_id=endpoint_id, state__in=states
        )
        return await self.delete_where(id__in=[each.id for each in found]) if found else 0


class PastEvent(Struct, rename="camel", kw_only=True):
    """The facts of a stored event that decide which endpoints get it."""

    id: str = field(name="_id")
    type: EventType
    at: datetime
    subject: str
    seq: int
    shop_id: str | None = None
    provider_id: str | None = None
    service_type: str | None = None
    livemode: bool | None = None


class PastEventRepository(ReadOnlyRepository[OutgoingEvent]):
    model = OutgoingEvent

    async def happened(
        self,
        types: Sequence[EventType],
        shop_id: str | None,
        start: datetime,
        end: datetime,
        count: int | None,
    ) -> list[PastEvent]:
        """Return events of a time, oldest first, up to `count`; with a `shop_id`, only those of its payments."""
        where: dict[str, Any] = {"type__in": list(types)}
        if shop_id is not None:
            where["shop_id"] = shop_id
        oldest = (OrderBy("at"), OrderBy("id"))
        window = BeforeAfter("at", end, start)
        limit = [] if count is None else [LimitOffset(count)]
        return await self.select(PastEvent, window, *oldest, *limit, **where)

    async def ids_of(self, subject: str) -> list[str]:
        """Return the ids of the events of a subject, up to the newest 200."""
        newest = (OrderBy("at", descending=True), OrderBy("id", descending=True))
        where = {"subject": subject, "type__in": list(EventType)}
        found = await self.select(PastEvent, *newest, LimitOffset(_MOST_OF_SUBJECT), **where)
        return [each.id for each in found]
