"""Every query on the outbox."""

from datetime import datetime, timedelta

from kernapay.core.filters import LimitOffset, OrderBy
from kernapay.core.repository import Repository
from kernapay.notifications.models import Message, MessageStatus


class MessageRepository(Repository[Message]):
    model = Message

    async def claim_due(self, lease: timedelta, count: int) -> list[Message]:
        """Take up to `count` due messages; nobody else is given them before the lease is over."""
        due = await self.list(
            OrderBy("next_at"),
            LimitOffset(count),
            status=MessageStatus.PENDING,
            next_at__lte=self.clock(),
        )
        claims = [
            await self.update_where(
                {"id": message.pk, "status": MessageStatus.PENDING, "next_at": message.next_at},
                set__next_at=self.clock() + lease,
                inc__attempts=1,
            )
            for message in due
        ]
        return [message for message in claims if message is not None]

    async def finish(
        self, message: Message, status: MessageStatus, error: str | None = None
    ) -> None:
        """Close the row, and forget what was said to whom."""
        await self.update_where(
            {"id": message.pk},
            set__status=status,
            set__sent_at=self.clock() if status is MessageStatus.SENT else None,
            set__error=error,
            unset__sealed_text=True,
            unset__to=True,
            unset__subject=True,
        )

    async def retry_at(self, message: Message, at: datetime, error: str) -> None:
        await self.update_where(
            {"id": message.pk, "status": MessageStatus.PENDING},
            set__next_at=at,
            set__error=error,
        )
