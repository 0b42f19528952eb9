"""The queue of exports that a worker makes."""

from datetime import timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.payments.exports.jobs.dtos import ExportView
from kernapay.payments.exports.jobs.models import Export, ExportState
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository

_LEASE: Final = timedelta(minutes=5)
_PAUSE: Final = timedelta(minutes=1)
_ATTEMPT_LIMIT: Final = 5
# As long as its file.
_KEPT: Final = timedelta(days=1)


class ExportJobRepository(Repository[Export]):
    model = Export

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "exports",
            self,
            Rules(
                # One that is running after its lease has ended belongs to a worker that died.
                waiting=lambda _: {"state__in": [ExportState.REQUESTED, ExportState.RUNNING]},
                due="lease_until",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=(_PAUSE,),
                limit=_ATTEMPT_LIMIT,
                claimed={"set__state": ExportState.RUNNING},
                parked=lambda at: {"set__state": ExportState.FAILED, "set__finished_at": at},
                is_parked={"state": ExportState.FAILED},
                renews=True,
            ),
        )

    async def request(self, export: Export) -> Export:
        """Insert an export, due at once."""
        at = self.clock()
        export.lease_until, export.expires_at = at, at + _KEPT
        return await self.add(export)

    async def note_progress(self, export: Export, lines: int) -> bool:
        """Store how many lines are written so far. Return False if that is unknown: the next note says more."""
        return bool(await self.assign({"id": export.pk}, set__lines=lines))

    async def finish(self, export: Export, lines: int) -> None:
        """Store that the file is there. It is kept for a day from now."""
        at = self.clock()
        await self.queue.finish(
            export,
            set__state=ExportState.DONE,
            set__lines=lines,
            set__error=None,
            set__finished_at=at,
            set__expires_at=at + _KEPT,
        )

    async def newest(self, count: int, skip: int) -> list[ExportView]:
        """Return a page of the exports, newest first."""
        newest = OrderBy("created_at", descending=True)
        return await self.select(ExportView, newest, LimitOffset(count, skip))

    async def view(self, export_id: str) -> ExportView | None:
        return await self.select_one(ExportView, id=export_id)
