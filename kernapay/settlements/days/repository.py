"""The queue of the days of the gateway's feed."""

from datetime import date, datetime, timedelta
from typing import Final

from kernapay.core.business_days import days_between
from kernapay.core.clock import Clock, now
from kernapay.settlements.models import SettlementDay
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import DuplicateRow, Repository
from kernapay.storage.updates import RowGone

_LEASE: Final = timedelta(minutes=10)
# The gateway may be away for days: a day is tried until it was read, and never given up.
_BACKOFF: Final = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60))


class SettlementDayRepository(Repository[SettlementDay]):
    model = SettlementDay

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "settlement_days",
            self,
            Rules(
                waiting=lambda _: {"is_open": True},
                due="due_at",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=_BACKOFF,
                counts_claims=False,
                renews=True,
            ),
        )

    async def known_since(self, first: str) -> set[str]:
        """Return the days that are stored, from the first on."""
        return {row.day for row in await self.list(day__gte=first)}

    async def first_unread(self, first: date, last: date) -> date | None:
        """Return the first day of a period that was never read; None if each was.

        Days before the oldest one that is stored had no payments, or are too old to be read.
        """
        stored = await self.list(day__gte=first.isoformat(), day__lte=last.isoformat())
        read = {row.day for row in stored if row.read_at is not None}
        oldest = min((date.fromisoformat(row.day) for row in stored), default=first)
        return next((d for d in days_between(oldest, last) if d.isoformat() not in read), None)

    async def request(self, day: str, due_at: datetime) -> bool:
        """Insert a day of the feed to read. Return False when it exists."""
        try:
            await self.add(SettlementDay(day=day, due_at=due_at))
        except DuplicateRow:
            return False
        return True

    async def read_again(self, day: str, due_at: datetime) -> None:
        """Make a day due at once, whether it was read before or not. Raises RowGone."""
        if await self.request(day, due_at):
            return
        if await self.update_where({"day": day}, set__is_open=True, set__due_at=due_at) is None:
            raise RowGone

    async def finish(self, day: SettlementDay, rows: int, next_at: datetime | None) -> bool:
        """Record that a day was read, and when to read it again; None is for never.

        Return False if another read was requested meanwhile. The day is then read again, because the new settlement may
        have come after this read.
        """
        at = self.clock()
        await self.queue.finish(
            day, set__rows=rows, set__read_at=at, set__error=None, set__attempts=0
        )
        where = {"day": day.day, "due_at": day.due_at}
        is_open = next_at is not None
        planned = await self.update_where(where, set__is_open=is_open, set__due_at=next_at or at)
        return planned is not None
