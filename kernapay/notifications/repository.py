"""Every query on the outbox."""

from datetime import timedelta
from typing import Any, Final

from kernapay.core.clock import Clock, now
from kernapay.notifications.models import Message, MessageStatus
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository

# Longer than the deadline of a call to a provider: no second sender claims a message while one is sending it.
_LEASE: Final = timedelta(seconds=30)
_BACKOFF: Final = tuple(timedelta(seconds=s) for s in (3, 10, 30, 90, 300, 900, 3600))
# Personal data that nobody needs once a message is sent or given up.
_ERASURE: Final[dict[str, Any]] = {
    "unset__sealed_text": True,
    "unset__to": True,
    "unset__subject": True,
    "unset__sealed_file": True,
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
                parked=lambda _: {"set__status": MessageStatus.FAILED, **_ERASURE},
                is_parked={"status": MessageStatus.FAILED},
            ),
        )

    async def finish(self, message: Message) -> None:
        """Mark a message as sent and delete its content."""
        await self.queue.finish(
            message,
            set__status=MessageStatus.SENT,
            set__sent_at=self.clock(),
            set__error=None,
            **_ERASURE,
        )
