"""Every query on the inbox."""

from datetime import datetime, timedelta
from typing import Any

from kernapay.core.filters import LimitOffset, OrderBy
from kernapay.core.repository import DuplicateRow, Repository
from kernapay.webhooks.dtos import WebhookEventView
from kernapay.webhooks.models import EventStatus, WebhookEvent


class WebhookRepository(Repository[WebhookEvent]):
    model = WebhookEvent

    async def store(self, event: WebhookEvent) -> bool:
        """Insert the event; False when its id or its very body is here already."""
        try:
            await self.add(event)
        except DuplicateRow:
            return False
        return True

    async def claim_due(self, lease: timedelta) -> WebhookEvent | None:
        """Take one due event; nobody else is given it before the lease is over."""
        due = await self.list(
            OrderBy("next_at"),
            LimitOffset(8),
            status=EventStatus.PENDING,
            next_at__lte=self.clock(),
        )
        for event in due:
            claimed = await self.update_where(
                {"id": event.pk, "status": EventStatus.PENDING, "next_at": event.next_at},
                set__next_at=self.clock() + lease,
            )
            if claimed is not None:
                return claimed
        return None

    async def finish(self, event: WebhookEvent, status: EventStatus, outcome: str) -> None:
        await self.update_where(
            {"id": event.pk},
            set__status=status,
            set__outcome=outcome,
            set__processed_at=self.clock(),
            set__error=None,
        )

    async def retry_later(self, event: WebhookEvent, at: datetime, error: str) -> None:
        await self.update_where(
            {"id": event.pk, "status": EventStatus.PENDING},
            set__next_at=at,
            set__error=error,
            inc__attempts=1,
        )

    async def park(self, event: WebhookEvent, error: str) -> None:
        await self.update_where(
            {"id": event.pk, "status": EventStatus.PENDING},
            set__status=EventStatus.PARKED,
            set__error=error,
            inc__attempts=1,
        )

    async def page(
        self, status: EventStatus | None, event: str | None, *, skip: int, count: int
    ) -> list[WebhookEventView]:
        where: dict[str, Any] = {"status": status} if status else {}
        if event:
            where["event"] = event
        newest = OrderBy("created_at", descending=True)
        return await self.select(WebhookEventView, newest, LimitOffset(count, skip), **where)

    async def reopen(self, lease: timedelta, **where: Any) -> WebhookEvent | None:
        """Take an event to handle it again, whatever became of it; a worker does when the lease is over."""
        return await self.update_where(
            where,
            set__status=EventStatus.PENDING,
            set__next_at=self.clock() + lease,
            set__attempts=0,
        )
