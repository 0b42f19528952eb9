"""Request and response structs for API keys."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.apikeys.models import EndReason
from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.patterns import Line
from kernapay.security.principal import Role


class ApiKeyCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """An API key acts as the account `userId` (by default the caller's) in one role."""

    name: Annotated[Line, Meta(examples=["Booking back end"])]
    role: Annotated[Role, Meta(examples=["USER"])]
    user_id: (
        Annotated[str, Meta(pattern=OBJECT_ID_PATTERN, examples=["66b1f0c2a7d4e5f601234567"])]
        | None
    ) = None
    expires_at: Annotated[datetime, Meta(tz=True, examples=["2027-12-31T00:00:00Z"])] | None = None


class ApiKeyView(Struct, rename="camel"):
    """An API key without the key itself. `lastUsedAt` is accurate to five minutes.

    `createdBy` is the administrator who made the key, `adoptedBy` the one who vouches for it since. `revokedReason` is
    `revoked`, `account_changed` (its account was locked out, rose or lost the key's role) or `maker_not_admin` (nobody
    who vouched for it is an administrator any more).
    """

    id: str = field(name="_id")
    name: str
    hint: str
    user_id: str
    role: Role
    created_by: str
    created_at: Instant
    adopted_by: str | None = None
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    revoked_reason: EndReason | None = None
    last_used_at: Instant | None = None


class ApiKeyPage(Struct, rename="camel"):
    """API keys, newest first, including revoked ones."""

    total: int
    keys: list[ApiKeyView]


class ApiKeyCreated(Struct, rename="camel"):
    """A new API key. Send `key` as `Authorization: Bearer <key>`. It is not shown again."""

    key: Annotated[str, Meta(examples=["kp_live_…"])]
    details: ApiKeyView


class KeyGrant(Struct, rename="camel"):
    """The part of an API key that authentication needs."""

    id: str = field(name="_id")
    user_id: str
    role: Role
    created_by: str
    adopted_by: str | None = None
    expires_at: Instant | None = None
