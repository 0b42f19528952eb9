"""Repair findings of nightly reports about money that came in, where no person has to decide."""

from datetime import timedelta
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError, Unavailable
from kernapay.payments.repository import PaymentRepository
from kernapay.reconciliation.models import Finding, Kind, Report
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.security.principal import BackgroundWork

_log = structlog.get_logger("kernapay.reconciliation")
NIGHTLY: Final = BackgroundWork("nightly")
# An event or the worker would have settled it, or given it back, without asking anybody.
_KINDS: Final = (Kind.SECOND_PAYMENT, Kind.STATUS)
# It may have given the money back in another way, or counted it.
_OF_EARLIER_SERVICE: Final = "left to a person: the payment is of an earlier service"
# Longer than a refund is on its way. What is open then, a person ends.
_LOOKED_AFTER_FOR: Final = timedelta(days=14)
# The last night looks after the earlier ones, and not each that is made up with it.
_NEWEST: Final = timedelta(days=2)


class NightlyRepairs:
    def __init__(
        self,
        reports: ReportRepository,
        findings: FindingRepository,
        repairs: RepairService,
        payments: PaymentRepository,
        clock: Clock = now,
    ) -> None:
        self._reports = reports
        self._findings = findings
        self._repairs = repairs
        self._payments = payments
        self._clock = clock

    async def run(self, report: Report) -> None:
        """Repair the findings of a nightly report, and look after those that an earlier night could not close.

        One that cannot be repaired now does not hold up the others: the next night tries it again. What a person has
        worked on is left to them, and so is what a night made up after more than 14 days finds: nobody expects that
        money to move by itself any more. Raises Unavailable.
        """
        at = self._clock()
        if at - report.window_to > _LOOKED_AFTER_FOR:
            _log.info("night_too_old_to_repair", report=str(report.pk))
            return
        for finding in await self._findings.open_of(str(report.pk), _KINDS):
            if finding.repaired_by in (None, NIGHTLY.id):
                await self._repair(finding)
        if at - report.window_to > _NEWEST:
            return
        first = (at - _LOOKED_AFTER_FOR).date().isoformat()
        for night in (await self._reports.nights(first)).values():
            if night.id == str(report.pk):
                continue
            for finding in await self._findings.open_of(night.id, _KINDS):
                if finding.repaired_by == NIGHTLY.id:
                    await self._repair(finding)

    async def _repair(self, finding: Finding) -> None:
        if finding.kind is Kind.STATUS and finding.theirs != "paid":
            return
        if finding.kind is Kind.SECOND_PAYMENT and await self._is_imported(finding):
            await self._findings.record_repair(
                finding, NIGHTLY.id, _OF_EARLIER_SERVICE, is_repaired=False
            )
            return
        finding_id = str(finding.pk)
        try:
            done = await self._repairs.repair(
                NIGHTLY, str(finding.report_id), finding_id, is_look_audited=False
            )
        except Unavailable:
            raise
        except KernaPayError as error:
            _log.warning("night_repair_waits", finding=finding_id, code=error.code)
            reason = error.detail
        except Exception as error:
            _log.error("night_repair_broken", finding=finding_id, exc_info=error)
            reason = "the log of the worker has the error"
        else:
            _log.info("night_repair", finding=finding_id, outcome=done.outcome)
            return
        outcome = f"not repaired yet: {reason}"
        await self._findings.record_repair(finding, NIGHTLY.id, outcome, is_repaired=False)

    async def _is_imported(self, finding: Finding) -> bool:
        reference = finding.reference_id
        payment = await self._payments.by_reference(reference) if reference else None
        return payment is not None and payment.former is not None
