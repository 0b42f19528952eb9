"""What crosses the wire about the audit log."""

from typing import Any

from msgspec import Struct, field

from kernapay.core.clock import Instant


class AuditView(Struct, rename="camel"):
    """A privileged action.

    `actor` is a user's id, or `cli` for the command line; `keyId` names the API key it came with. An entry is written
    before its action; a second one with the same `operation` and a `failure` says that the action did not come about.
    """

    id: str = field(name="_id")
    created_at: Instant
    operation: str
    actor: str
    action: str
    actor_role: str | None = None
    key_id: str | None = None
    target: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    failure: str | None = None
    request_id: str | None = None


class AuditPage(Struct, rename="camel"):
    """Newest first; `total` counts what the filters let through."""

    total: int
    entries: list[AuditView]
