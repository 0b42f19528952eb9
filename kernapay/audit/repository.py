"""Append to the audit log and search it. No code changes or deletes an entry."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from kernapay.audit.dtos import AuditView
from kernapay.audit.models import AuditEntry, Door
from kernapay.core import logs
from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError, Unavailable
from kernapay.security.principal import Actor, BackgroundWork, Operator, Principal
from kernapay.security.rate_limits import RateLimiter
from kernapay.storage.filters import Filter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository

_log = structlog.get_logger("kernapay.audit")


class _Rows(Repository[AuditEntry]):
    model = AuditEntry


class AuditLog:
    """Append entries and search them.

    It wraps a repository instead of being one, so that it has no methods to update or delete.
    """

    def __init__(self, mongo: Mongo, limiter: RateLimiter, clock: Clock = now) -> None:
        self._rows = _Rows(mongo, clock)
        self._limiter = limiter

    @asynccontextmanager
    async def action(
        self,
        actor: Actor,
        action: str,
        target: str | None = None,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[None]:
        """Write an entry, then run the block, which is the action.

        The entry comes first, so that no privileged action happens without one, also if the process dies. If the block
        fails, a second entry says so. Raises Unavailable, without running the block, if the entry cannot be written,
        and TooManyRequests if the actor has made too many.

        Entries are kept for good, so check cheap preconditions first: refused calls would flood the log.
        """
        if isinstance(actor, Principal):
            # Each key by itself: whoever has a leaked one must not keep its owner from revoking it.
            subject = actor.key_id or actor.id
            await self._limiter.require("audited", subject, "Too many privileged actions.")
        facts = {
            "operation": secrets.token_hex(8),
            "action": action,
            "target": target,
            "before": None if before is None else dict(before),
            "after": None if after is None else dict(after),
            **_facts_of(actor),
        }
        await self._rows.add(AuditEntry(**facts))
        try:
            yield
        except Exception as error:
            await self._record_failure(facts, error)
            raise

    async def _record_failure(self, facts: Mapping[str, Any], error: Exception) -> None:
        code = error.code if isinstance(error, KernaPayError) else KernaPayError.code
        try:
            await self._rows.add(AuditEntry(**facts, failure=code))
        except Unavailable:
            # MongoDB may be what failed, and fail again here. The caller must get the first error.
            _log.warning("audit_failure_not_recorded", operation=facts["operation"], code=code)

    async def search(
        self, *filters: Filter, count: int, skip: int = 0, **where: Any
    ) -> tuple[Sequence[AuditView], int]:
        """Return a page of the matching entries, newest first, and how many match in all."""
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        page = await self._rows.select(
            AuditView, *filters, *newest, LimitOffset(count, skip), **where
        )
        return page, await self._rows.count(*filters, **where)


def _facts_of(actor: Actor) -> dict[str, Any]:
    if isinstance(actor, Operator):
        return {"actor": actor.id, "door": Door.COMMAND_LINE, "os_user": actor.os_user}
    if isinstance(actor, BackgroundWork):
        return {"actor": actor.id, "door": Door.WORKER}
    ids = logs.request_ids.get()
    return {
        "actor": actor.id,
        "actor_role": actor.role.value,
        "key_id": actor.key_id,
        "door": Door.HTTP,
        "request_id": ids and ids.own,
        "client_request_id": ids and ids.client,
    }
