"""HTTP for the audit log."""

from datetime import datetime
from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from kernapay.audit.dtos import AuditPage
from kernapay.audit.repository import AuditLog
from kernapay.core.clock import in_utc
from kernapay.core.patterns import NAME
from kernapay.security.guards import HasRole, IsUnscoped
from kernapay.security.principal import Role
from kernapay.storage.filters import BeforeAfter
from kernapay.web.handlers import get


class AuditController(Controller):
    path = "/v1/api/admin/audit"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get()
    async def audit_log(
        self,
        audit_log: NamedDependency[AuditLog],
        actor: Annotated[
            str | None,
            QueryParameter(
                pattern=NAME,
                max_length=64,
                description="Only actions of this actor: a user's id, `cli`, or `nightly`.",
            ),
        ] = None,
        action: Annotated[
            str | None,
            QueryParameter(
                pattern=NAME, max_length=64, description="Only this action, such as `user.change`."
            ),
        ] = None,
        target: Annotated[
            str | None,
            QueryParameter(
                pattern=NAME,
                max_length=160,
                description="Only actions on this target: a kind and an id, such as `user:66b1f0c2a7d4e5f601234567`.",
            ),
        ] = None,
        before: Annotated[datetime | None, QueryParameter()] = None,
        after: Annotated[datetime | None, QueryParameter()] = None,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> AuditPage:
        """List the audit log of privileged actions, newest first.

        An entry has the actor, the action, its target, the time, and the values before and after. `after` is
        inclusive, `before` is not.
        """
        conditions = {"actor": actor, "action": action, "target": target}
        entries, total = await audit_log.search(
            BeforeAfter("created_at", in_utc(before, "before"), in_utc(after, "after")),
            count=count,
            skip=skip,
            **{name: value for name, value in conditions.items() if value is not None},
        )
        return AuditPage(total, list(entries))
