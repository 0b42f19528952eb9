"""The queries on the inbox."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from kernapay.core.clock import Clock, now
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import DuplicateRow, Repository
from kernapay.storage.updates import Changed
from kernapay.webhooks.dtos import EventId, WebhookEventView
from kernapay.webhooks.models import EventStatus, WebhookEvent

_LEASE: Final = timedelta(minutes=2)
# The request that stored an event processes it. The worker leaves it alone for this time.
_FIRST_LEASE: Final = timedelta(seconds=30)
# About 41 hours together, so that an outage of a day parks no event.
_BACKOFF: Final = tuple(
    timedelta(seconds=s) for s in (2, 5, 15, 60, 300, 900, 3600, 3600 * 4, 3600 * 12, 3600 * 24)
)


class WebhookRepository(Repository[WebhookEvent]):
    model = WebhookEvent

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "inbox",
            self,
            Rules(
                waiting=lambda _: {"status": EventStatus.PENDING},
                due="next_at",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=_BACKOFF,
                limit=len(_BACKOFF) + 1,
                # No event is parked that was never processed.
                counts_claims=False,
                # MongoDB deletes events some time after they were processed. What is parked waits for a person.
                parked=lambda _: {"set__status": EventStatus.PARKED, "unset__processed_at": True},
                is_parked={"status": EventStatus.PARKED},
                # Kinds of events take turns: those of a hopeless kind do not hold up the others.
                owner="event",
            ),
        )

    async def store(self, event: WebhookEvent) -> bool:
        """Insert an event and begin its first attempt. Return False when its id or its body is stored already."""
        event.next_at = self.clock() + _FIRST_LEASE
        try:
            await self.add(event)
        except DuplicateRow:
            return False
        self.queue.begin(event)
        return True

    async def finish(self, event: WebhookEvent, status: EventStatus, outcome: str) -> None:
        await self.queue.finish(
            event,
            set__status=status,
            set__outcome=outcome,
            set__processed_at=self.clock(),
            set__error=None,
        )

    async def replay(self, event_id: str) -> WebhookEvent | None:
        """Claim an event in any status to process it again. Return None when there is no such event."""
        return await self.queue.replay({"event_id": event_id}, set__status=EventStatus.PENDING)

    async def end(self, event_id: str, outcome: str) -> bool:
        """Let a parked event rest for good. Return False if it is not parked. Raises RowGone."""
        ended = await self.update_if(
            {"event_id": event_id},
            {"status": EventStatus.PARKED},
            set__status=EventStatus.IGNORED,
            set__outcome=outcome,
            set__processed_at=self.clock(),
        )
        return isinstance(ended, Changed)

    async def ids_to_replay(self, status: EventStatus, count: int | None) -> list[str]:
        """Return the ids of events, first those that were not processed for the longest time."""
        longest_ago = (OrderBy("next_at"),)
        limit = () if count is None else (LimitOffset(count),)
        events = await self.select(EventId, *longest_ago, *limit, status=status)
        return [event.event_id for event in events]

    async def count_up_to(self, most: int, status: EventStatus) -> int:
        return await self.count(LimitOffset(most), status=status)

    async def by_event_id(self, event_id: str) -> tuple[WebhookEventView, bytes] | None:
        """Return an event and its body as received, or None when there is no such event."""
        view = await self.select_one(WebhookEventView, event_id=event_id)
        event = await self.get_one_or_none(event_id=event_id)
        return None if view is None or event is None else (view, bytes(event.body))

    async def list_of(self, event_ids: Sequence[str]) -> list[WebhookEventView]:
        """Return the events with these ids, as far as they are still stored."""
        return await self.select(WebhookEventView, event_id__in=list(event_ids))

    async def page(
        self, status: EventStatus | None, event: str | None, *, skip: int, count: int
    ) -> list[WebhookEventView]:
        where: dict[str, Any] = {"status": status} if status else {}
        if event:
            where["event"] = event
        newest = OrderBy("created_at", descending=True)
        return await self.select(WebhookEventView, newest, LimitOffset(count, skip), **where)
