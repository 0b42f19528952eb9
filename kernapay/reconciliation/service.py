"""Reconciliation: check unfinished payments, and compare our records with the gateway's."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final

import structlog
from bson import ObjectId

from kernapay.audit.repository import AuditLog
from kernapay.core.clock import Clock, in_utc, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import InvalidInput, KernaPayError, Unavailable
from kernapay.gateway.base import EARLIEST, PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.reconciliation.comparison import Comparison
from kernapay.reconciliation.differences import Difference
from kernapay.reconciliation.models import Finding, Report
from kernapay.reconciliation.nightly_repairs import NightlyRepairs
from kernapay.reconciliation.nightly_reports import NightlyReports
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.resync import Resync
from kernapay.security.principal import Actor
from kernapay.settlements.reports import SettlementReports
from kernapay.storage.queue import Queue

_log = structlog.get_logger("kernapay.reconciliation")
_LONGEST_WINDOW: Final = timedelta(days=31)


class ReconciliationService:
    def __init__(
        self,
        reports: ReportRepository,
        findings: FindingRepository,
        payments: PaymentRepository,
        resync: Resync,
        gateway: PaymentGateway,
        pace: Pace,
        settlement_reports: SettlementReports,
        audit: AuditLog,
        nightly_reports: NightlyReports,
        nightly_repairs: NightlyRepairs,
        clock: Clock = now,
    ) -> None:
        self._reports = reports
        self._findings = findings
        self._payments = payments
        self._resync = resync
        self._gateway = gateway
        self._pace = pace
        self._settlement_reports = settlement_reports
        self._audit = audit
        self._clock = clock
        self._nightly_reports = nightly_reports
        self._nightly_repairs = nightly_repairs

    async def check_due(self, queue: Queue[Payment]) -> bool:
        """Check one due payment at the gateway. Return False when none is due."""
        return await queue.sweep(self._resync.check)

    async def request(self, actor: Actor, after: datetime, before: datetime) -> Report:
        """Request the report of a window, which a worker makes. Raises InvalidInput."""
        window = self._window(after, before)
        async with self._action(actor, window):
            return await self._reports.request(*window, actor.id)

    async def make_now(
        self,
        actor: Actor,
        after: datetime,
        before: datetime,
        progress: Callable[[str, int], None],
    ) -> tuple[Report, int]:
        """Make the report of a window in this process. Return it, and the number of its findings.

        Raises InvalidInput, GatewayError, Unavailable.
        """
        window = self._window(after, before)
        async with self._action(actor, window):
            report = await self._reports.request(*window, actor.id, is_claimed=True)
            try:
                async with self._reports.queue.hold(report):
                    return report, await self._make(report, progress)
            except TimeoutError as error:
                raise Unavailable(
                    "The lease of the report ended. A worker makes it again."
                ) from error

    async def request_nightly(self) -> bool:
        """Request the reports of the nights that lack a good one. Return whether this call requested any."""
        return await self._nightly_reports.request_due()

    async def sweep_reports(self) -> bool:
        """Make one report that is due. Return False when none is."""
        return await self._reports.queue.sweep(self._make_or_fail)

    def compare(
        self,
        after: datetime,
        before: datetime,
        progress: Callable[[str, int], None] = lambda _, __: None,
        done: set[str] | None = None,
    ) -> Comparison:
        """Return a comparison that stores nothing. `kernapay audit` uses it."""
        return Comparison(
            self._payments,
            self._gateway,
            self._pace,
            self._settlement_reports,
            after,
            before,
            progress,
            done,
        )

    async def _make_or_fail(self, report: Report) -> None:
        try:
            await self._make(report)
        except KernaPayError as error:
            _log.warning("report_interrupted", report=str(report.pk), code=error.code)
            await self._reports.queue.fail(report, error.detail)

    async def _make(
        self, report: Report, progress: Callable[[str, int], None] = lambda _, __: None
    ) -> int:
        comparison = self.compare(report.window_from, report.window_to, progress)
        found: set[ObjectId] = set()
        async for difference in comparison.run():
            found.add(await self._findings.put(_make_finding(report, difference)))
            crash_point("report.found")
        crash_point("report.compared")
        # What a worker that died half-way had found, and this one did not.
        await self._findings.drop_others(report.pk, found)
        if report.night is not None:
            # Before it is done: should this process die, the report is made again, and so are the repairs.
            await self._nightly_repairs.run(report)
            crash_point("report.repaired")
        report.unchecked = comparison.unchecked
        await self._reports.finish(
            report,
            {**comparison.totals, "findings": len(found)},
            {currency: dict(sums) for currency, sums in comparison.money.items()},
            comparison.unchecked,
        )
        _log.info(
            "report_done",
            report=str(report.pk),
            night=report.night,
            findings=len(found),
            unchecked=len(comparison.unchecked),
        )
        return len(found)

    async def audit_window(
        self, after: datetime | None, before: datetime | None
    ) -> tuple[datetime, datetime]:
        """Return a window for an audit: by default, from the first payment until now. Raises InvalidInput."""
        at = self._clock()
        end = before or at
        start = after or await self._payments.first_created_at() or end - timedelta(days=1)
        if end > at:
            raise InvalidInput("The end of the window must not be in the future.", field="to")
        if start >= end:
            raise InvalidInput("The window must end after its start.", field="to")
        return start, end

    def _action(
        self, actor: Actor, window: tuple[datetime, datetime]
    ) -> AbstractAsyncContextManager[None]:
        after, before = window
        period = {"from": after.isoformat(), "to": before.isoformat()}
        return self._audit.action(actor, "reconciliation.report", after=period)

    def _window(self, after: datetime, before: datetime) -> tuple[datetime, datetime]:
        if after.tzinfo is None or before.tzinfo is None:
            raise InvalidInput("Must have a time zone: 2026-01-31T00:00:00Z.", field="from")
        after, before = in_utc(after, "from"), in_utc(before, "to")
        if after < EARLIEST:
            raise InvalidInput(f"Must be {EARLIEST.year} or later.", field="from")
        if not timedelta(0) < before - after <= _LONGEST_WINDOW:
            raise InvalidInput("Must be after `from`, by at most 31 days.", field="to")
        if before > self._clock():
            raise InvalidInput("Must be in the past.", field="to")
        return after, before


def _make_finding(report: Report, difference: Difference) -> Finding:
    payment = difference.payment
    return Finding(
        report_id=report.pk,
        kind=difference.kind,
        reference_id=payment.reference_id if payment else None,
        order_id=difference.order_id,
        razorpay_payment_id=difference.razorpay_payment_id,
        dispute_id=difference.dispute_id,
        ours=difference.ours,
        theirs=difference.theirs,
    )
