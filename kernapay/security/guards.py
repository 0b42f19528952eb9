"""Guard classes: who may use a route."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import Forbidden
from kernapay.security.principal import Principal, Role

Connection = ASGIConnection[Any, Any, Any, Any]


class HasRole:
    """Admit callers that hold one of the roles."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if connection.user.role not in self.roles:
            raise Forbidden("Your role does not allow this.")


class SignedIn(HasRole):
    """Admit every role: the route serves the caller's own data only."""

    def __init__(self) -> None:
        super().__init__(*Role)


class IsPerson:
    """Admit people, not API keys: the route hands out or ends credentials, or says who may do what."""

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if connection.user.key_id is not None:
            raise Forbidden("This is for people: sign in instead of sending an API key.")


class IsSelfOr:
    """Admit the person the path parameter names, and the given roles."""

    def __init__(self, *roles: Role, parameter: str = "user_id") -> None:
        self.roles = frozenset(roles)
        self.parameter = parameter

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        if (
            connection.path_params.get(self.parameter) != connection.user.id
            and connection.user.role not in self.roles
        ):
            raise Forbidden("You may see your own payments only.")


class NotVerified(Forbidden):
    """This service takes payments only from people who confirmed their e-mail address or mobile number."""

    code = "not_verified"
    title = "Contact not verified"


_EMAIL_FIRST: Final = "confirm your e-mail address: POST /v1/api/verification/email/request"
_MOBILE_FIRST: Final = "confirm your mobile number: POST /v1/api/verification/mobile/request"


class IsVerified:
    """Admit callers with the verified contacts that REQUIRE_VERIFIED demands; the app's state carries it."""

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        missing = _missing(connection.app.state.require_verified, connection.user)
        if missing:
            raise NotVerified(f"Before you pay, {missing}.")


def _missing(demand: str, caller: Principal) -> str:
    """What the caller has to do first, by the choices of REQUIRE_VERIFIED."""
    email = "" if caller.email_verified else _EMAIL_FIRST
    mobile = "" if caller.mobile_verified else _MOBILE_FIRST
    match demand:
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
    raise ValueError(f"no such demand: {demand}")
