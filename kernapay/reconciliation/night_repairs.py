"""Repair what a night found and no event told of: money that came in, where no person has to decide."""

from datetime import timedelta
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError, Unavailable
from kernapay.reconciliation.models import Finding, Kind, Report
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.security.principal import BackgroundWork

_log = structlog.get_logger("kernapay.reconciliation")
NIGHTLY: Final = BackgroundWork("nightly")
# An event or the worker would have settled it, or given it back, without asking anybody.
_KINDS: Final = (Kind.SECOND_PAYMENT, Kind.STATUS)
# Longer than a refund is on its way. What is open then, a person ends.
_LOOKED_AFTER_FOR: Final = timedelta(days=14)


class NightRepairs:
    def __init__(
        self,
        reports: ReportRepository,
        findings: FindingRepository,
        repairs: RepairService,
        clock: Clock = now,
    ) -> None:
        self._reports = reports
        self._findings = findings
        self._repairs = repairs
        self._clock = clock

    async def run(self, report: Report) -> None:
        """Repair the findings of a nightly report, and those of the last nights that are still open.

        One that cannot be repaired now does not hold up the others: the next night tries it again. What a person has
        worked on is left to them. Raises Unavailable.
        """
        first = (self._clock() - _LOOKED_AFTER_FOR).date().isoformat()
        nights = await self._reports.nights(first)
        for report_id in {str(report.pk), *(night.id for night in nights.values())}:
            for finding in await self._findings.open_of(report_id, _KINDS):
                if finding.kind is Kind.SECOND_PAYMENT or finding.theirs == "paid":
                    await self._repair_safely(finding)

    async def _repair_safely(self, finding: Finding) -> None:
        try:
            await self._repair(finding)
        except Unavailable:
            raise
        except KernaPayError as error:
            _log.warning("night_repair_waits", finding=str(finding.pk), code=error.code)
        except Exception as error:
            _log.error("night_repair_broken", finding=str(finding.pk), exc_info=error)

    async def _repair(self, finding: Finding) -> None:
        if finding.repaired_by is None:
            ids = (str(finding.report_id), str(finding.pk))
            done = await self._repairs.repair(NIGHTLY, *ids)
        elif finding.repaired_by == NIGHTLY.id:
            # Its step was taken. The worker sees to the refund.
            done = await self._repairs.look_again(NIGHTLY, finding)
        else:
            return
        _log.info("night_repair", finding=str(finding.pk), repaired=done.is_repaired)
