"""Every query on reconciliation reports and findings."""

from datetime import timedelta
from typing import Any

from kernapay.core.filters import LimitOffset, OrderBy
from kernapay.core.repository import Repository
from kernapay.reconciliation.models import Finding, Report, ReportState


class ReportRepository(Repository[Report]):
    model = Report

    async def claim_due(self, lease: timedelta) -> Report | None:
        """Take a report to make: a requested one, or a running one whose worker died."""
        at = self.clock()
        for state in (ReportState.REQUESTED, ReportState.RUNNING):
            for report in await self.list(
                OrderBy("created_at"), LimitOffset(4), state=state, lease_until__lt=at
            ):
                claimed = await self.update_where(
                    {"id": report.pk, "state": state, "lease_until": report.lease_until},
                    set__state=ReportState.RUNNING,
                    set__lease_until=at + lease,
                    inc__attempts=1,
                )
                if claimed is not None:
                    return claimed
        return None

    async def note(self, report: Report, **change: Any) -> None:
        await self.update_where({"id": report.pk}, **change)


class FindingRepository(Repository[Finding]):
    model = Finding
