"""The queries on reconciliation reports and findings."""

from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.reconciliation.dtos import FindingView, ReportView
from kernapay.reconciliation.models import Finding, Report, ReportState
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import DuplicateRow, Repository
from kernapay.storage.updates import RowGone

_LEASE: Final = timedelta(hours=1)
_PAUSE: Final = timedelta(minutes=10)
_ATTEMPT_LIMIT: Final = 6


class ReportRepository(Repository[Report]):
    model = Report

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "reports",
            self,
            Rules(
                # A report that is running after its lease has ended belongs to a worker that died.
                waiting=lambda _: {"state__in": [ReportState.REQUESTED, ReportState.RUNNING]},
                due="lease_until",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=(_PAUSE,),
                limit=_ATTEMPT_LIMIT,
                claimed={"set__state": ReportState.RUNNING},
                parked=lambda at: {"set__state": ReportState.FAILED, "set__finished_at": at},
                is_parked={"state": ReportState.FAILED},
                renews=True,
            ),
        )

    async def request(
        self, after: datetime, before: datetime, requested_by: str, *, is_claimed: bool = False
    ) -> Report:
        """Insert a report of a window, due at once. If `is_claimed`, the caller makes it instead of a worker."""
        return await self.add(
            Report(
                window_from=after,
                window_to=before,
                requested_by=requested_by,
                state=ReportState.RUNNING if is_claimed else ReportState.REQUESTED,
                lease_until=self.clock() + (_LEASE if is_claimed else timedelta(0)),
            )
        )

    async def request_night(self, night: str, after: datetime, before: datetime) -> bool:
        """Insert the report of a night. Return False when it exists."""
        # The index refuses a second one of two workers at once. All others see it here, whatever the index does.
        if await self.exists(night=night):
            return False
        report = Report(
            window_from=after,
            window_to=before,
            requested_by="nightly",
            lease_until=self.clock(),
            night=night,
        )
        try:
            await self.add(report)
        except DuplicateRow:
            return False
        return True

    async def finish(self, report: Report, totals: dict[str, int]) -> None:
        await self.queue.finish(
            report,
            set__state=ReportState.DONE,
            set__totals=totals,
            set__error=None,
            set__finished_at=self.clock(),
        )

    async def newest(self, count: int, skip: int) -> list[ReportView]:
        """Return a page of the reports, newest first."""
        newest = OrderBy("created_at", descending=True)
        return await self.select(ReportView, newest, LimitOffset(count, skip))

    async def view(self, report_id: str) -> ReportView | None:
        return await self.select_one(ReportView, id=report_id)


class FindingRepository(Repository[Finding]):
    model = Finding

    async def of_report(self, report_id: str, count: int, skip: int) -> list[FindingView]:
        """Return a page of a report's findings, oldest first."""
        return await self.select(
            FindingView, OrderBy("id"), LimitOffset(count, skip), report_id=report_id
        )

    async def record_repair(
        self, finding: Finding, repaired_by: str, outcome: str, *, is_repaired: bool
    ) -> None:
        """Store the outcome of a repair. `is_repaired` says that the difference is gone. Raises RowGone."""
        row = await self.update_where(
            {"id": finding.pk},
            set__repaired_at=self.clock() if is_repaired else None,
            set__repaired_by=repaired_by,
            set__outcome=outcome,
        )
        if row is None:
            raise RowGone
