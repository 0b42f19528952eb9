"""HTTP for signing in and out."""

from typing import Any

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from kernapay.core.envelope import Message
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import SignedIn
from kernapay.security.principal import Authenticated
from kernapay.sessions.service import SessionService
from kernapay.users.dtos import LoggedIn, Login


class LoginController(Controller):
    """Public: there is no token yet."""

    path = "/v1/api/users"
    tags = ["Users"]
    opt = {PUBLIC: True}
    security = [{}]

    @post("/login", status_code=200)
    async def log_in(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[Login],
        logins: NamedDependency[SessionService],
    ) -> LoggedIn:
        """Sign in on this device."""
        return await logins.log_in(data, request.headers.get("user-agent"))


class SessionController(Controller):
    path = "/v1/api/users"
    tags = ["Users"]
    guards = [SignedIn()]

    @post("/logout", status_code=200)
    async def log_out(
        self, request: Authenticated, logins: NamedDependency[SessionService]
    ) -> Message:
        """End this device's session; its token stops working at once."""
        await logins.log_out(request.user)
        return Message("Signed out.")
