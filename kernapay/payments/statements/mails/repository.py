"""The queue of statements that are mailed, and the providers who get one."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from msgspec import Struct, field

from kernapay.core.clock import Clock, now
from kernapay.payments.statements.mails.models import MailState, StatementMail
from kernapay.security.principal import Role
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.reading import ReadOnlyRepository
from kernapay.storage.repository import Repository
from kernapay.users.models import User

# Longer than it takes to add a month up and to draw it.
_LEASE: Final = timedelta(minutes=5)
_BACKOFF: Final = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
_ATTEMPT_LIMIT: Final = 8


class StatementMailRepository(Repository[StatementMail]):
    model = StatementMail

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "statements",
            self,
            Rules(
                waiting=lambda _: {"state": MailState.DUE},
                due="due_at",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=_BACKOFF,
                limit=_ATTEMPT_LIMIT,
                parked=lambda _: {"set__state": MailState.FAILED},
                is_parked={"state": MailState.FAILED},
                renews=True,
            ),
        )

    async def plan(self, month: str, provider_id: str | None = None) -> None:
        """Insert the row of a month, or of a provider's statement, due at once. A repeat changes nothing."""
        row_id = month if provider_id is None else f"{month}:{provider_id}"
        row = StatementMail(id=row_id, month=month, provider_id=provider_id, due_at=self.clock())
        await self.add_or_get(row, "id")

    async def finish(self, row: StatementMail) -> None:
        await self.queue.finish(row, set__state=MailState.DONE, set__error=None)


class _Id(Struct):
    id: str = field(name="_id")


class ProviderRepository(ReadOnlyRepository[User]):
    model = User

    async def approved(self) -> AsyncIterator[str]:
        """Yield the ids of the providers whose account an administrator has approved, be they active or not."""
        async for batch in self.batches(_Id, type=Role.PROVIDER, is_approved_provider=True):
            for row in batch:
                yield row.id
