"""The columns that the dispatcher reads, and the outcomes that it writes."""

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from kernapay.deliveries.models import DeliveryState
from kernapay.deliveries.sender import Outcome


class Secret(Struct, rename="camel"):
    sealed: bytes
    until: datetime | None = None


class Lease(Struct, rename="camel"):
    owner: str


class DispatchEndpoint(Struct, rename="camel", kw_only=True):
    """An endpoint that is on. `free` says that no worker holds its lease, by the database's clock."""

    id: str = field(name="_id")
    owner: str | None = None
    url: str
    headers: dict[str, str] = {}
    version: int = 1
    secrets: list[Secret] = []
    failing_since: datetime | None = None
    lease: Lease | None = None
    free: bool = False


class DueRow(Struct, rename="camel", kw_only=True):
    """A delivery that is due."""

    id: str = field(name="_id")
    endpoint: str
    event: str
    after: str | None = None
    subject: str
    seq: int
    attempts: int = 0
    created_at: datetime
    replayed_at: datetime | None = None

    @property
    def waiting_since(self) -> datetime:
        return self.replayed_at or self.created_at

    @property
    def predecessor(self) -> str | None:
        """The id of the delivery that comes before this one."""
        return None if self.after is None else f"{self.after}:{self.endpoint}"


class Predecessor(Struct, rename="camel"):
    """The state of a delivery that another one waits for."""

    id: str = field(name="_id")
    state: DeliveryState
    next_at: datetime
    attempts: int = 0


class StoredEvent(Struct, rename="camel"):
    """The bytes of an event, by payload version."""

    id: str = field(name="_id")
    bodies: dict[str, bytes] = {}


class EventAge(Struct, rename="camel"):
    id: str = field(name="_id")
    created_at: datetime


class Note(Struct):
    """The outcome of an attempt, or of a delivery that is given up without one."""

    row: DueRow
    state: DeliveryState
    at: datetime
    next_at: datetime | None = None
    """When a pending one is due again."""
    outcome: Outcome | None = None
    """None if there was no attempt."""
    reason: str | None = None
    """Why there was none."""

    @property
    def attempts(self) -> int:
        return self.row.attempts + (self.outcome is not None)

    def entry(self) -> dict[str, Any]:
        """Return the entry for the delivery's log of attempts."""
        if self.outcome is None:
            return {"at": self.at, "ms": 0, "excerpt": self.reason}
        facts = {
            "at": self.outcome.at,
            "code": self.outcome.code,
            "ms": self.outcome.milliseconds,
            "excerpt": self.outcome.excerpt,
        }
        return {name: value for name, value in facts.items() if value is not None}


class Health(Struct):
    """How an endpoint has answered lately."""

    endpoint: str
    failing_since: datetime | None
    last_success_at: datetime | None
