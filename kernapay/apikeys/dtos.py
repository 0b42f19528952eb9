"""What crosses the wire about API keys."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.patterns import Line
from kernapay.security.principal import Role


class ApiKeyCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """The key acts as the account `userId` (the caller's own when left out), in one role. Another role, another key."""

    name: Annotated[Line, Meta(examples=["Booking back end"])]
    role: Annotated[Role, Meta(examples=["USER"])]
    user_id: (
        Annotated[str, Meta(pattern=OBJECT_ID_PATTERN, examples=["66b1f0c2a7d4e5f601234567"])]
        | None
    ) = None
    expires_at: Annotated[datetime, Meta(tz=True, examples=["2027-12-31T00:00:00Z"])] | None = None


class ApiKeyView(Struct, rename="camel"):
    """What may be seen of a key after it was made. `lastUsedAt` is right to five minutes."""

    id: str = field(name="_id")
    name: str
    hint: str
    user_id: str
    role: Role
    created_by: str
    created_at: Instant
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None


class ApiKeyPage(Struct, rename="camel"):
    """Newest first, revoked ones too."""

    total: int
    keys: list[ApiKeyView]


class ApiKeyCreated(Struct, rename="camel"):
    """`key` is shown this once: `Authorization: Bearer <key>`."""

    key: Annotated[str, Meta(examples=["kp_live_…"])]
    details: ApiKeyView


class KeyGrant(Struct, rename="camel"):
    """What authentication reads of a key."""

    id: str = field(name="_id")
    user_id: str
    role: Role
    expires_at: Instant | None = None
