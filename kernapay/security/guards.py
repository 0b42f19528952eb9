"""Guard classes: who may use a route."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import Forbidden
from kernapay.security.principal import Role

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
