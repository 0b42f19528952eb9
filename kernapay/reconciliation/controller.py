"""The HTTP routes for reconciliation, for administrators."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.gateway.base import GATEWAY_ERRORS
from kernapay.payments.parameters import Reference
from kernapay.reconciliation.checks import PaymentChecks
from kernapay.reconciliation.dtos import (
    PaymentChecked,
    Repaired,
    ReportDetail,
    ReportRequest,
    ReportView,
)
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.service import ReconciliationService
from kernapay.security.guards import HasRole, HasScope, IsUnscoped
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import problems

Id = Annotated[str, PathParameter(pattern=OBJECT_ID_PATTERN)]


class ReconciliationController(Controller):
    path = "/v1/api/reconciliation"
    tags = ["Reconciliation"]
    guards = [HasRole(Role.ADMIN)]

    @post("/reports", guards=[IsUnscoped()], status_code=202)
    async def request_report(
        self,
        request: Authenticated,
        data: JSONBody[ReportRequest],
        reconciliation_service: NamedDependency[ReconciliationService],
        report_repository: NamedDependency[ReportRepository],
    ) -> ReportView:
        """Request a report that compares the payments of a window with the gateway's records. A worker makes it."""
        report = await reconciliation_service.request(
            request.user, data.window_from, data.window_to
        )
        return await _load_report(report_repository, str(report.pk))

    @get("/reports", guards=[HasScope(Scope.REPORTS_READ)])
    async def list_reports(
        self,
        report_repository: NamedDependency[ReportRepository],
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> list[ReportView]:
        """List reports, newest first."""
        return await report_repository.newest(count, skip)

    @get("/reports/{report_id:str}", guards=[HasScope(Scope.REPORTS_READ)])
    async def show_report(
        self,
        report_id: Id,
        report_repository: NamedDependency[ReportRepository],
        finding_repository: NamedDependency[FindingRepository],
        count: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        skip: Annotated[int, QueryParameter(ge=0, le=100_000)] = 0,
    ) -> ReportDetail:
        """Return a report with its findings."""
        return ReportDetail(
            await _load_report(report_repository, report_id),
            await finding_repository.of_report(report_id, count, skip),
        )

    @post(
        "/reports/{report_id:str}/findings/{finding_id:str}/repair",
        guards=[IsUnscoped()],
        status_code=200,
    )
    async def repair(
        self,
        request: Authenticated,
        report_id: Id,
        finding_id: Id,
        repair_service: NamedDependency[RepairService],
        dry_run: Annotated[
            bool,
            QueryParameter(
                name="dryRun", description="Change nothing, and say what a repair would do."
            ),
        ] = False,
    ) -> Repaired:
        """Repair a finding: bring its payment to the state at the gateway, and refund what was paid twice.

        The gateway is asked first, and what is true now decides. With `dryRun=true`, nothing is changed, and `outcome`
        says what a repair would do. Repeating the call is harmless.
        """
        repair = await repair_service.repair(
            request.user, report_id, finding_id, is_dry_run=dry_run
        )
        return Repaired(finding_id, repair.outcome, is_repaired=repair.is_repaired)


class PaymentCheckController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [HasRole(Role.LAB_ASSISTANT, Role.ADMIN), IsUnscoped()]

    @post(
        "/{reference_id:str}/check",
        status_code=200,
        responses=problems(NotFound, *GATEWAY_ERRORS),
    )
    async def check(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_checks: NamedDependency[PaymentChecks],
    ) -> PaymentChecked:
        """Ask the gateway about a payment now, and apply what it says, as the worker does by itself.

        Use this when a customer has paid and nothing has happened. Repeating the call is harmless.
        """
        return await payment_checks.check(request.user, reference_id)


async def _load_report(reports: ReportRepository, report_id: str) -> ReportView:
    report = await reports.view(report_id)
    if report is None:
        raise NotFound("No report has this id.")
    return report
