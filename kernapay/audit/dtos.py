"""Response structs of the audit log."""

from typing import Any

from msgspec import Struct, field

from kernapay.audit.models import Door
from kernapay.core.clock import Instant


class AuditView(Struct, rename="camel"):
    """A privileged action.

    `actor` is a user's id, `nightly` for automatic repairs of a nightly report, or `cli` for the command line, where
    `osUser` is the user of the operating system. `keyId` is the API key that the request was sent with. `requestId` is
    our id of the request, `clientRequestId` the `X-Request-ID` that the client sent. An entry is written before its
    action. If the action fails, a second entry with the same `operation` has a `failure`.
    """

    id: str = field(name="_id")
    created_at: Instant
    operation: str
    actor: str
    action: str
    door: Door | None = None
    os_user: str | None = None
    actor_role: str | None = None
    key_id: str | None = None
    target: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    failure: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None


class AuditPage(Struct, rename="camel"):
    """Entries, newest first. `total` counts all that match the filters."""

    total: int
    entries: list[AuditView]
