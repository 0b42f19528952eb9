"""Actors: the caller of a request, an operator on the command line, or KernaPay itself."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
from litestar import Request
from litestar.datastructures import State

from kernapay.storage.cached import Entries


class Role(StrEnum):
    USER = "USER"
    PROVIDER = "PROVIDER"
    LAB_ASSISTANT = "LAB_ASSISTANT"
    ADMIN = "ADMIN"

    def is_above(self, other: "Role") -> bool:
        """Return whether a change from the other role to this one is a rise."""
        return _RANKS.index(self) > _RANKS.index(other)


_RANKS: Final = (Role.USER, Role.PROVIDER, Role.LAB_ASSISTANT, Role.ADMIN)


class Scope(StrEnum):
    """What an API key may do, the least harmful first."""

    PAYMENTS_READ = "payments:read"
    REPORTS_READ = "reports:read"
    DELIVERIES_READ = "deliveries:read"
    CUSTOMERS_READ = "customers:read"
    DELIVERIES_WRITE = "deliveries:write"
    CUSTOMERS_WRITE = "customers:write"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_WRITE = "refunds:write"


STAFF: Final = frozenset({Role.LAB_ASSISTANT, Role.ADMIN})
"""The roles that see what belongs to others. They are only for accounts with a verified e-mail address."""


def may_use_console(role: Role, *, is_approved_provider: bool) -> bool:
    """Return whether an account may sign in to the operators' pages."""
    return role in STAFF or (role is Role.PROVIDER and is_approved_provider)


class Principal(msgspec.Struct, frozen=True):
    """The caller of a request, with the role the account has now, not the one it had when the token was issued."""

    id: str
    role: Role
    session_id: str
    is_email_verified: bool = False
    is_mobile_verified: bool = False
    is_approved_provider: bool = False
    """Whether an administrator has approved the account as a provider. Known of sessions only."""
    key_id: str | None = None
    """The id of the API key that the request was sent with; None for a session."""
    account_role: Role | None = None
    """The role of the account, where the caller's is that of an API key and may be a lower one."""
    scopes: frozenset[str] | None = None
    """The scopes of the API key. None for a session, and for a key without scopes: it may do all that its role may."""
    needs_proof: bool = False
    """Whether the caller is at the console, and proved too long ago who they are: see HasFreshProof."""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    @property
    def is_shop(self) -> bool:
        """Whether the caller sells to customers of its own: the API key of a USER does, a person does not."""
        return self.role is Role.USER and self.key_id is not None

    @property
    def must_verify_first(self) -> bool:
        """Whether the account does not work before its e-mail address is verified.

        Nobody signs up as ADMIN, and whoever appoints one looks at the address. Anybody may write any address into
        a sign-up as LAB_ASSISTANT. So an administrator's key for that role works.
        """
        account_role = self.account_role or self.role
        return account_role is Role.LAB_ASSISTANT and not self.is_email_verified


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody with a shell on the server, who needs no account."""

    os_user: str
    """The user of the operating system that runs the command."""

    @property
    def id(self) -> str:
        """The actor in the audit log, instead of an account."""
        return "cli"


@dataclass(frozen=True, slots=True)
class BackgroundWork:
    """Work that KernaPay starts by itself."""

    id: str
    """The actor in the audit log, instead of an account."""


Authenticated = Request[Principal, Entries, State]
"""A request of a caller, with what of the cache was read together with the session."""

Actor = Principal | Operator | BackgroundWork
