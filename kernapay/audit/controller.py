"""HTTP for the audit log."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from kernapay.audit.dtos import AuditPage
from kernapay.audit.repository import AuditLog
from kernapay.core.clock import in_utc
from kernapay.core.patterns import NAME
from kernapay.security.guards import HasRole
from kernapay.security.principal import Role
from kernapay.storage.filters import BeforeAfter


class AuditController(Controller):
    path = "/v1/api/admin/audit"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN)]

    @get()
    async def audit_log(
        self,
        audit_log: NamedDependency[AuditLog],
        actor: Annotated[
            str | None,
            QueryParameter(pattern=NAME, max_length=64, description="Only what this one did."),
        ] = None,
        action: Annotated[
            str | None,
            QueryParameter(pattern=NAME, max_length=64, description="Only this action."),
        ] = None,
        target: Annotated[
            str | None,
            QueryParameter(pattern=NAME, max_length=160, description="Only what was done to this."),
        ] = None,
        before: Annotated[datetime | None, QueryParameter()] = None,
        after: Annotated[datetime | None, QueryParameter()] = None,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> AuditPage:
        """List privileged actions, newest first: who did what to whom, when, with what before and after.

        `target` is a kind and an id, such as `user:66b1f0c2a7d4e5f601234567`. `after` is inclusive, `before` is not.
        """
        asked = {"actor": actor, "action": action, "target": target}
        entries, total = await audit_log.search(
            BeforeAfter("created_at", in_utc(before, "before"), in_utc(after, "after")),
            count=count,
            skip=skip,
            **{name: value for name, value in asked.items() if value is not None},
        )
        return AuditPage(total, list(entries))
