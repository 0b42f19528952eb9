"""Reconciliation: payments without an end, nightly comparisons, and repairs."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final

import structlog

from kernapay.core.clock import Clock, in_utc, now
from kernapay.core.crashpoints import crash_point
from kernapay.core.errors import Conflict, InvalidInput, KernaPayError
from kernapay.core.ids import payment_id_of
from kernapay.core.repository import DuplicateRow
from kernapay.gateway.base import PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Status
from kernapay.reconciliation.comparison import Comparison, Difference
from kernapay.reconciliation.models import Finding, Kind, Report, ReportState
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.resync import Resync

_log = structlog.get_logger("kernapay.reconciliation")
_LONGEST_WINDOW: Final = timedelta(days=31)
_REPORT_LEASE: Final = timedelta(hours=1)
_MOST_ATTEMPTS: Final = 6
_REPORT_PAUSE: Final = timedelta(minutes=10)
# The night's work starts when the day before has surely settled down.
_NIGHT_STARTS: Final = time(1, 0)
_DELAYS: Final = tuple(timedelta(minutes=m) for m in (15, 60, 240, 720, 1440))


class NotRepairable(Conflict):
    code = "not_repairable"


class ReconciliationService:
    def __init__(
        self,
        reports: ReportRepository,
        findings: FindingRepository,
        payments: PaymentRepository,
        resync: Resync,
        gateway: PaymentGateway,
        pace: Pace,
        after: timedelta,
        clock: Clock = now,
    ) -> None:
        self._reports = reports
        self._findings = findings
        self._payments = payments
        self._resync = resync
        self._gateway = gateway
        self._pace = pace
        self._after = after
        self._clock = clock
        self._night: str | None = None

    async def sweep_stale(self) -> bool:
        """Look one payment up that should have come to its end by now; False when there is none."""
        payment = await self._payments.claim_stale(self._after, _DELAYS)
        if payment is None:
            return False
        try:
            status = await self._resync.payment(payment)
            _log.info("payment_checked", payment=str(payment.pk), status=status)
        except KernaPayError as error:
            # Its next look is scheduled already; the others must not wait for it.
            _log.warning("payment_check_failed", payment=str(payment.pk), code=error.code)
        return True

    async def request(
        self, after: datetime, before: datetime, by: str, *, make_here: bool = False
    ) -> Report:
        """Order a comparison of a window. A worker makes it, unless the caller does. Raises InvalidInput."""
        if after.tzinfo is None or before.tzinfo is None:
            raise InvalidInput("Say the time zone: 2026-01-31T00:00:00Z.", field="from")
        after, before = in_utc(after, "from"), in_utc(before, "to")
        if not timedelta(0) < before - after <= _LONGEST_WINDOW:
            raise InvalidInput("Must be after `from`, by at most 31 days.", field="to")
        if before > self._clock():
            raise InvalidInput("Must lie in the past.", field="to")
        report = self._report(after, before, requested_by=by)
        if make_here:
            report.state = ReportState.RUNNING
            report.lease_until = self._clock() + _REPORT_LEASE
        return await self._reports.add(report)

    async def request_nightly(self) -> bool:
        """Order last night's comparison unless it is ordered; many workers make one. False when it was."""
        at = self._clock().astimezone(UTC)
        if at.time() < _NIGHT_STARTS:
            return False
        end = datetime.combine(at.date(), time(0), UTC)
        report = self._report(end - timedelta(days=1), end, requested_by="nightly")
        report.night = report.window_from.date().isoformat()
        if report.night == self._night:
            return False
        try:
            await self._reports.add(report)
        except DuplicateRow:
            self._night = report.night
            return False
        return True

    async def sweep_reports(self) -> bool:
        """Make one report that is due; False when none is."""
        report = await self._reports.claim_due(_REPORT_LEASE)
        if report is None:
            return False
        if report.attempts > _MOST_ATTEMPTS:
            await self._finish(report, ReportState.FAILED, error=report.error or "gave up")
            return True
        try:
            await self.make(report)
        except KernaPayError as error:
            _log.warning("report_interrupted", report=str(report.pk), code=error.code)
            await self._reports.note(
                report, set__error=error.detail, set__lease_until=self._clock() + _REPORT_PAUSE
            )
        return True

    async def make(
        self, report: Report, progress: Callable[[str, int], None] = lambda _, __: None
    ) -> int:
        """Compare the report's window and keep what is found; how many findings. Raises GatewayError, Unavailable."""
        # A worker that died half-way left findings of its own.
        await self._findings.delete_where(report_id=report.pk)
        comparison = self.compare(report.window_from, report.window_to, progress)
        found = 0
        async for difference in comparison.run():
            await self._findings.add(_finding(report, difference))
            found += 1
            crash_point("report.found")
        totals = {**comparison.totals, "findings": found}
        await self._reports.note(report, set__totals=totals)
        crash_point("report.compared")
        await self._finish(report, ReportState.DONE)
        _log.info("report_done", report=str(report.pk), findings=found)
        return found

    def compare(
        self,
        after: datetime,
        before: datetime,
        progress: Callable[[str, int], None] = lambda _, __: None,
    ) -> Comparison:
        """Prepare a comparison that keeps nothing, as the audit uses it."""
        return Comparison(self._payments, self._gateway, self._pace, after, before, progress)

    async def repair(self, report_id: str, finding_id: str, by: str) -> str:
        """Bring what a finding is about to the gateway's truth; what came of it.

        Money that came twice for one payment is given back. Raises NotFound, NotRepairable, GatewayError, Unavailable.
        """
        finding = await self._findings.get(id=finding_id, report_id=report_id)
        payment = await self._subject(finding)
        if payment is None:
            raise NotRepairable(
                "No payment of ours is concerned: look at the order in the gateway's dashboard."
            )
        status = await self._mend(finding, payment)
        left = await self._left(finding, payment)
        outcome = f"payment is {status}"
        if left:
            outcome += "; the rest needs a decision in the gateway's dashboard"
        await self._findings.update_where(
            {"id": finding.pk},
            set__repaired_at=None if left else self._clock(),
            set__repaired_by=by,
            set__outcome=outcome,
        )
        return outcome

    async def _mend(self, finding: Finding, payment: Payment) -> str:
        if finding.kind is Kind.MISSING_THERE:
            # Nobody can pay an order that the gateway does not know.
            return await self._resync.give_up(payment)
        if finding.kind is Kind.SURPLUS_ORDER:
            await self._payments.note_surplus_orders(payment, [str(finding.order_id)])
        if finding.kind in (Kind.SURPLUS_ORDER, Kind.SECOND_PAYMENT):
            await self._give_back(finding, payment)
        elif finding.kind is Kind.FEE and payment.razorpay_payment_id is not None:
            payment_id = payment.razorpay_payment_id
            facts = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
            await self._payments.note_fee(payment, facts.fee, facts.tax)
        return await self._resync.payment(payment)

    async def _give_back(self, finding: Finding, payment: Payment) -> None:
        if finding.kind is Kind.SECOND_PAYMENT:
            ours = str(payment.razorpay_payment_id)
            first = await self._pace.call(lambda: self._gateway.fetch_payment(ours))
            if not first.captured:
                return  # the one we know brought nothing: the other is not too much
        for extra in await self._now().kept(str(finding.order_id)):
            if extra.id == payment.razorpay_payment_id:
                continue
            await self._gateway.refund(
                extra.id,
                amount=extra.amount - (extra.amount_refunded or 0),
                # Stable, so that a repeated repair gives back once.
                key=f"surplus_{extra.id}",
                receipt=f"surplus_{extra.id}",
                speed="normal",
            )

    async def _left(self, finding: Finding, payment: Payment) -> bool:
        """Tell whether the finding still stands."""
        payment = await self._payments.get(id=payment.pk)
        if finding.kind is Kind.MISSING_THERE:
            return payment.status is not Status.FAILED
        if finding.kind is Kind.SURPLUS_ORDER:
            return bool(await self._now().kept(str(finding.order_id)))
        if payment.razorpay_order_id is None:
            return True
        differences = await self._now().again(payment, payment.razorpay_order_id)
        return any(difference.kind is finding.kind for difference in differences)

    def _now(self) -> Comparison:
        at = self._clock()
        return self.compare(at, at)

    async def _subject(self, finding: Finding) -> Payment | None:
        if finding.reference_id is not None:
            return await self._payments.get_one_or_none(reference_id=finding.reference_id)
        if finding.order_id is None:
            return None
        order_id = finding.order_id
        order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        payment_id = payment_id_of(order.receipt)
        return await self._payments.get_one_or_none(id=payment_id) if payment_id else None

    def _report(self, after: datetime, before: datetime, requested_by: str) -> Report:
        return Report(
            window_from=after,
            window_to=before,
            requested_by=requested_by,
            lease_until=datetime.fromtimestamp(0, UTC),
        )

    async def _finish(self, report: Report, state: ReportState, error: str | None = None) -> None:
        await self._reports.note(
            report, set__state=state, set__error=error, set__finished_at=self._clock()
        )


def _finding(report: Report, difference: Difference) -> Finding:
    payment = difference.payment
    return Finding(
        report_id=report.pk,
        kind=difference.kind,
        reference_id=payment.reference_id if payment else None,
        order_id=difference.order_id,
        razorpay_payment_id=difference.razorpay_payment_id,
        ours=difference.ours,
        theirs=difference.theirs,
    )
