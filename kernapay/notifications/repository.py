"""Every query on the outbox."""

from datetime import timedelta
from typing import Any, Final

from kernapay.core.clock import Clock, now
from kernapay.notifications.models import Message, MessageStatus
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository

# Longer than a provider's deadline: a message is not sent twice while its first sending is under way.
_LEASE: Final = timedelta(seconds=30)
_BACKOFF: Final = tuple(timedelta(seconds=s) for s in (3, 10, 30, 90, 300, 900, 3600))
# Once a message is closed, nobody needs to know what was said to whom.
_FORGET: Final[dict[str, Any]] = {
    "unset__sealed_text": True,
    "unset__to": True,
    "unset__subject": True,
}


class MessageRepository(Repository[Message]):
    model = Message

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "outbox",
            self,
            Rules(
                waiting=lambda _: {"status": MessageStatus.PENDING},
                due="next_at",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=_BACKOFF,
                parked=lambda _: {"set__status": MessageStatus.FAILED, **_FORGET},
            ),
        )

    async def finish(self, message: Message) -> None:
        """Close a message that was sent."""
        await self.queue.finish(
            message,
            set__status=MessageStatus.SENT,
            set__sent_at=self.clock(),
            set__error=None,
            **_FORGET,
        )
