"""The HTTP routes for exports that a worker makes."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.files.base import FileLink
from kernapay.payments.exports.dtos import ExportRequest
from kernapay.payments.exports.jobs.dtos import ExportView
from kernapay.payments.exports.jobs.repository import ExportJobRepository
from kernapay.payments.exports.jobs.service import ExportJobs, ExportNotDone
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import problems

ExportId = Annotated[
    str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The `_id` of the export.")
]


class ExportJobController(Controller):
    path = "/v1/api/exports"
    tags = ["Payments"]
    guards = [HasRole(Role.ADMIN), HasScope(Scope.REPORTS_READ)]

    @post(guards=[RateLimited("export")], status_code=202)
    async def request_export(
        self,
        request: Authenticated,
        data: JSONBody[ExportRequest],
        export_jobs: NamedDependency[ExportJobs],
        export_job_repository: NamedDependency[ExportJobRepository],
    ) -> ExportView:
        """Request an export of any length. A worker makes it; look at it until it is `done`, then ask for its link."""
        export = await export_jobs.request(request.user, data)
        return await _load(export_job_repository, str(export.pk))

    @get()
    async def list_exports(
        self,
        export_job_repository: NamedDependency[ExportJobRepository],
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> list[ExportView]:
        """List the exports of the last day, newest first."""
        return await export_job_repository.newest(count, skip)

    @get("/{export_id:str}")
    async def show_export(
        self,
        export_id: ExportId,
        export_job_repository: NamedDependency[ExportJobRepository],
    ) -> ExportView:
        """Return an export: its state, and how many `lines` are written so far."""
        return await _load(export_job_repository, export_id)

    @post(
        "/{export_id:str}/link", guards=[RateLimited("export")], responses=problems(ExportNotDone)
    )
    async def link_export(
        self,
        request: Authenticated,
        export_id: ExportId,
        export_jobs: NamedDependency[ExportJobs],
    ) -> FileLink:
        """Return a link to the file of an export that is done. It works without a token, for five minutes."""
        return await export_jobs.link(request.user, export_id)


async def _load(exports: ExportJobRepository, export_id: str) -> ExportView:
    export = await exports.view(export_id)
    if export is None:
        raise NotFound("No export has this id.")
    return export
