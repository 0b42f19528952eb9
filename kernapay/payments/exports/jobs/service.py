"""Long exports: requested by an administrator, made by a worker, and fetched later."""

import secrets

import structlog

from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, KernaPayError, NotFound
from kernapay.files.base import FileLink, FileStore
from kernapay.payments.exports.dtos import ExportRequest
from kernapay.payments.exports.jobs.models import Export, ExportState
from kernapay.payments.exports.jobs.repository import ExportJobRepository
from kernapay.payments.exports.plans import Plan
from kernapay.payments.exports.service import ExportService
from kernapay.security.principal import Principal

_log = structlog.get_logger("kernapay.exports")


class ExportNotDone(Conflict):
    """The export is not made yet, or could not be made. Its `state` says which."""

    code = "export_not_done"
    title = "Export not done"


class ExportJobs:
    def __init__(
        self,
        jobs: ExportJobRepository,
        exports: ExportService,
        files: FileStore,
        audit: AuditLog,
    ) -> None:
        self._jobs = jobs
        self._exports = exports
        self._files = files
        self._audit = audit

    async def request(self, actor: Principal, request: ExportRequest) -> Export:
        """Request an export, which a worker makes. Raises InvalidInput."""
        plan = self._exports.plan(request)
        export = Export(
            period_from=plan.start,
            period_to=plan.end,
            form=plan.form,
            unit=plan.unit,
            bom=plan.bom,
            rows=plan.rows,
            by=plan.by,
            totals=plan.totals,
            requested_by=actor.id,
            file_name=f"export-{secrets.token_hex(16)}.{plan.form.value}",
        )
        async with self._audit.action(actor, "export.request", after=plan.as_audited()):
            return await self._jobs.request(export)

    async def link(self, actor: Principal, export_id: str) -> FileLink:
        """Return a link to the file of an export. Raises NotFound, ExportNotDone."""
        export = await self._jobs.get_one_or_none(id=export_id)
        if export is None:
            raise NotFound("No export has this id.")
        if export.state is not ExportState.DONE:
            raise ExportNotDone("Only an export that is done has a file. Look at it again later.")
        async with self._audit.action(actor, "export.link", f"export:{export_id}"):
            return await self._files.link(export.file_name)

    async def sweep(self) -> bool:
        """Make one export that is due. Return False when none is."""
        return await self._jobs.queue.sweep(self._make_or_fail)

    async def _make_or_fail(self, export: Export) -> None:
        try:
            await self._make(export)
        except KernaPayError as error:
            _log.warning("export_interrupted", export=str(export.pk), code=error.code)
            await self._jobs.queue.fail(export, error.detail)

    async def _make(self, export: Export) -> None:
        plan = Plan(
            export.period_from,
            export.period_to,
            export.form,
            export.unit,
            export.bom,
            export.rows,
            export.by,
            export.totals,
        )

        async def note(lines: int) -> None:
            await self._jobs.note_progress(export, lines)

        lines = await self._exports.put(plan, export.file_name, note)
        await self._jobs.finish(export, lines)
