"""Request and response structs for API keys."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kernapay.apikeys.models import EndReason
from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.patterns import PRINTABLE, Line
from kernapay.security.principal import Role, Scope


class ApiKeyCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """An API key acts as the account `userId` (by default the caller's) in one role, within its scopes.

    Without `scopes`, the key may do all that its role may. Name what the back end needs and no more.
    `checkoutOrigins` are those of your pages that the checkout page of its payments may lead to.
    """

    name: Annotated[Line, Meta(examples=["Booking back end"])]
    role: Annotated[Role, Meta(examples=["USER"])]
    user_id: (
        Annotated[str, Meta(pattern=OBJECT_ID_PATTERN, examples=["66b1f0c2a7d4e5f601234567"])]
        | None
    ) = None
    expires_at: Annotated[datetime, Meta(tz=True, examples=["2027-12-31T00:00:00Z"])] | None = None
    # Not null: a client that means to limit the key, and sends null by mistake, would get one without limits.
    scopes: (
        Annotated[
            list[Scope],
            Meta(min_length=1, max_length=20, examples=[["payments:read", "payments:write"]]),
        ]
        | UnsetType
    ) = UNSET
    checkout_origins: Annotated[
        list[Annotated[str, Meta(max_length=255, pattern=PRINTABLE)]],
        Meta(max_length=10, examples=[["https://shop.example"]]),
    ] = []


class ApiKeyView(Struct, rename="camel"):
    """An API key without the key itself. `lastUsedAt` is accurate to five minutes.

    `createdBy` is the administrator who made the key, `adoptedBy` the one who vouches for it since. `revokedReason` is
    `revoked`, `account_changed` (its account was locked out, rose or lost the key's role) or `maker_not_admin` (nobody
    who vouched for it is an administrator any more). `scopes` is null for a key that may do all that its role may.
    """

    id: str = field(name="_id")
    name: str
    hint: str
    user_id: str
    role: Role
    created_by: str
    created_at: Instant
    scopes: Annotated[list[str], Meta(examples=[["payments:read"]])] | None = None
    checkout_origins: Annotated[list[str], Meta(examples=[["https://shop.example"]])] = []
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
    scopes: frozenset[str] | None = None
    adopted_by: str | None = None
    expires_at: Instant | None = None


class CheckoutOrigins(Struct, rename="camel"):
    checkout_origins: list[str] = []
