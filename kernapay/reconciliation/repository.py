"""Every query on reconciliation reports and findings."""

from datetime import UTC, datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.reconciliation.dtos import FindingView, ReportView
from kernapay.reconciliation.models import Finding, Report, ReportState
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import DuplicateRow, Repository

_LEASE: Final = timedelta(hours=1)
_PAUSE: Final = timedelta(minutes=10)
_MOST_ATTEMPTS: Final = 6
_DUE_AT_ONCE: Final = datetime.fromtimestamp(0, UTC)


class ReportRepository(Repository[Report]):
    model = Report

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "reports",
            self,
            Rules(
                # A running one whose lease has ended was left by a worker that died.
                waiting=lambda _: {"state__in": [ReportState.REQUESTED, ReportState.RUNNING]},
                due="lease_until",
                attempts="attempts",
                leases=(_LEASE,),
                backoff=(_PAUSE,),
                limit=_MOST_ATTEMPTS,
                claimed={"set__state": ReportState.RUNNING},
                parked=lambda at: {"set__state": ReportState.FAILED, "set__finished_at": at},
                renews=True,
            ),
        )

    async def request(
        self, after: datetime, before: datetime, requested_by: str, *, claimed: bool = False
    ) -> Report:
        """Insert a report of a window, due at once. A `claimed` one is the caller's to make."""
        return await self.add(
            Report(
                window_from=after,
                window_to=before,
                requested_by=requested_by,
                state=ReportState.RUNNING if claimed else ReportState.REQUESTED,
                lease_until=self.clock() + _LEASE if claimed else _DUE_AT_ONCE,
            )
        )

    async def request_night(self, night: str, after: datetime, before: datetime) -> bool:
        """Insert the report of a night; False when there is one."""
        report = Report(
            window_from=after,
            window_to=before,
            requested_by="nightly",
            lease_until=_DUE_AT_ONCE,
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
        """Return a window of the reports, newest first."""
        newest = OrderBy("created_at", descending=True)
        return await self.select(ReportView, newest, LimitOffset(count, skip))

    async def view(self, report_id: str) -> ReportView | None:
        return await self.select_one(ReportView, id=report_id)


class FindingRepository(Repository[Finding]):
    model = Finding

    async def of_report(self, report_id: str, count: int, skip: int) -> list[FindingView]:
        """Return a window of a report's findings, in the order they were found."""
        return await self.select(
            FindingView, OrderBy("id"), LimitOffset(count, skip), report_id=report_id
        )

    async def note_repair(
        self, finding: Finding, repaired_by: str, outcome: str, *, is_repaired: bool
    ) -> None:
        """Store what came of a repair; `is_repaired` when nothing is left of the finding."""
        await self.update_where(
            {"id": finding.pk},
            set__repaired_at=self.clock() if is_repaired else None,
            set__repaired_by=repaired_by,
            set__outcome=outcome,
        )
