"""Append to the audit log and search it. No code changes or deletes an entry."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from kernapay.audit.dtos import AuditView
from kernapay.audit.models import AuditEntry
from kernapay.core import logs
from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError, Unavailable
from kernapay.security.principal import Principal
from kernapay.storage.filters import Filter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository

CLI: Final = "cli"
"""The actor of commands: somebody with a shell on the server, without an account."""


class _Rows(Repository[AuditEntry]):
    model = AuditEntry


class AuditLog:
    """Append entries and search them.

    It wraps a repository instead of being one, so that it has no methods to update or delete.
    """

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        self._rows = _Rows(mongo, clock)

    @asynccontextmanager
    async def action(
        self,
        actor: Principal | None,
        action: str,
        target: str | None = None,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[None]:
        """Write an entry, then run the block, which is the action. No actor means the command line.

        The entry comes first, so that no privileged action happens without one. If the block fails, a second entry
        says so. Raises Unavailable, without running the block, if the entry cannot be written.
        """
        facts = {
            "operation": secrets.token_hex(8),
            "actor": CLI if actor is None else actor.id,
            "actor_role": None if actor is None else actor.role.value,
            "key_id": None if actor is None else actor.key_id,
            "action": action,
            "target": target,
            "before": None if before is None else dict(before),
            "after": None if after is None else dict(after),
            "request_id": logs.request_id.get(),
        }
        await self._rows.add(AuditEntry(**facts))
        try:
            yield
        except Exception as error:
            code = error.code if isinstance(error, KernaPayError) else KernaPayError.code
            # MongoDB may be what failed, and fail again here. The caller must get the first error.
            with suppress(Unavailable):
                await self._rows.add(AuditEntry(**facts, failure=code))
            raise

    async def search(
        self, *filters: Filter, count: int, skip: int = 0, **where: Any
    ) -> tuple[Sequence[AuditView], int]:
        """Return a page of the matching entries, newest first, and how many match in all."""
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        page = await self._rows.select(
            AuditView, *filters, *newest, LimitOffset(count, skip), **where
        )
        return page, await self._rows.count(*filters, **where)
