"""Guards: which callers may use a route."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import Forbidden
from kernapay.security.principal import Principal, Role, Scope

Connection = ASGIConnection[Any, Any, Any, Any]


class NotVerified(Forbidden):
    """The caller must first confirm their e-mail address or mobile number."""

    code = "not_verified"
    title = "Contact not verified"


class ScopeMissing(Forbidden):
    """The API key lacks the scope that this route demands."""

    code = "scope_missing"
    title = "Scope missing"


class ProofRequired(Forbidden):
    """At the console: prove once more who you are with `POST /v1/api/console/session/proof`, then repeat the call."""

    code = "proof_required"
    title = "Prove who you are"


_EMAIL_FIRST: Final = "confirm your e-mail address: POST /v1/api/verification/email/request"
_MOBILE_FIRST: Final = "confirm your mobile number: POST /v1/api/verification/mobile/request"


class HasRole:
    """Admit callers that hold one of the roles, and whose account works."""

    needs_working_account = True

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if connection.user.role not in self.roles:
            allowed = ", ".join(sorted(self.roles))
            raise Forbidden(f"Your role does not allow this. Allowed roles: {allowed}.")
        if self.needs_working_account and connection.user.must_verify_first:
            raise NotVerified(f"Before your account works, {_EMAIL_FIRST}.")


class HasRoleOrShopKey(HasRole):
    """Admit callers that hold one of the roles, and shops by a key that was made with scopes: HasScope looks at those.

    A key without scopes gains nothing here: it may belong to somebody who pays for themselves.
    """

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        caller: Principal = connection.user
        if not caller.is_shop or caller.scopes is None:
            await super().__call__(connection, handler)


class AnyRole(HasRole):
    """Admit every role. The service decides what each of them sees."""

    def __init__(self) -> None:
        super().__init__(*Role)


class SignedIn(HasRole):
    """Admit everybody who is signed in. For the caller's own account only: profile, sessions, contacts."""

    needs_working_account = False

    def __init__(self) -> None:
        super().__init__(*Role)


class IsPerson:
    """Admit people, not API keys. For routes that create or end credentials, or change who may do what."""

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if connection.user.key_id is not None:
            raise Forbidden("API keys may not do this. Sign in and send the token of a session.")


class HasScope:
    """Admit people, API keys with the scope, and keys without any: those may do all that their role may."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        # Where a caller is optional, nobody is one: the route knows what to show them.
        scopes = connection.user.scopes if connection.user else None
        if scopes is not None and self.scope not in scopes:
            raise ScopeMissing(
                f"This API key lacks the scope {self.scope}. Ask an administrator for a key that has it."
            )


class IsUnscoped:
    """Admit people, and API keys without scopes. For routes that no scope reaches: administration, own account."""

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if connection.user.scopes is not None:
            raise Forbidden(
                "API keys with scopes may not do this. Sign in and send the token of a session."
            )


class HasFreshProof:
    """Refuse sessions of the console whose owner proved too long ago who they are.

    For what moves money, gives power or shows a secret: somebody else may have come to an unlocked screen. Tokens and
    API keys are no screens, and pass.
    """

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        require_fresh_proof(connection.user)


def require_fresh_proof(caller: Principal) -> None:
    """Raise ProofRequired if the caller has to prove first who they are. Nothing must have been done before."""
    if caller.needs_proof:
        raise ProofRequired(
            "Nothing was done. Confirm with your password who you are, then repeat the call."
        )


class IsSelfOr:
    """Admit the account named in the path parameter, and the given roles."""

    def __init__(self, *roles: Role, parameter: str = "user_id") -> None:
        self.roles = frozenset(roles)
        self.parameter = parameter

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if (
            connection.path_params.get(self.parameter) != connection.user.id
            and connection.user.role not in self.roles
        ):
            raise Forbidden("You may only see your own payments.")


class IsVerified:
    """Admit callers that have verified the contacts REQUIRE_VERIFIED asks for."""

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        missing = _missing(connection.app.state.require_verified, connection.user)
        if missing:
            raise NotVerified(f"Before you pay, {missing}.")


def _missing(requirement: str, caller: Principal) -> str:
    """Return what the caller has to verify first, empty for nothing. `requirement` is a value of REQUIRE_VERIFIED."""
    email = "" if caller.is_email_verified else _EMAIL_FIRST
    mobile = "" if caller.is_mobile_verified else _MOBILE_FIRST
    match requirement:
        case "email":
            return email
        case "mobile":
            return mobile
        case "both":
            return ", and ".join(filter(None, (email, mobile)))
        case "any":
            return f"{email}, or {mobile}" if email and mobile else ""
        case "none":
            return ""
    raise ValueError(f"unknown value of REQUIRE_VERIFIED: {requirement}")
