"""HTTP for sign-in, sign-out and the sessions of an account."""

from typing import Annotated, Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import Conflict, Unauthenticated
from kernapay.security.addresses import ClientAddresses
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import IsPerson, SignedIn
from kernapay.security.principal import Authenticated
from kernapay.security.rate_limits import RateLimited
from kernapay.sessions.dtos import (
    SESSION_ID_PATTERN,
    Device,
    LoggedIn,
    Login,
    PasswordChange,
    Refresh,
)
from kernapay.sessions.second_factor.service import SecondFactorRequired, WrongSecondFactor
from kernapay.sessions.service import RefreshRefused, SessionService
from kernapay.web.handlers import delete, get, post, put
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import Message


class LoginController(Controller):
    """Public: the caller has no valid access token."""

    path = "/v1/api/users"
    tags = ["Users"]
    opt = {PUBLIC: True}
    security = [{}]

    @post(
        "/login",
        status_code=200,
        guards=[RateLimited("login")],
        responses=problems(Unauthenticated, SecondFactorRequired, WrongSecondFactor),
    )
    async def log_in(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[Login],
        session_service: NamedDependency[SessionService],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> LoggedIn:
        """Sign in on this device.

        After too many wrong passwords the answer is 429, and `Retry-After` says how long to wait. The wait grows with
        further wrong passwords. An account with a second factor needs a `code` too: without one, the answer to the
        right password is 401 `second_factor_required`.
        """
        return await session_service.log_in(
            data, request.headers.get("user-agent"), client_addresses.of(request.scope)
        )

    @post(
        "/refresh",
        status_code=200,
        guards=[RateLimited("refresh")],
        responses=problems(RefreshRefused),
    )
    async def refresh(
        self, data: JSONBody[Refresh], session_service: NamedDependency[SessionService]
    ) -> LoggedIn:
        """Exchange the refresh token for a new token and a new refresh token.

        Each refresh token works once. If the answer was lost, repeat the call within seconds: the answer is the same.
        A used refresh token that is sent later counts as stolen and ends the session of this device.
        """
        return await session_service.refresh(data.refresh_token)


class SessionController(Controller):
    path = "/v1/api/users"
    tags = ["Users"]
    guards = [SignedIn(), IsPerson()]

    @post("/logout", status_code=200)
    async def log_out(
        self, request: Authenticated, session_service: NamedDependency[SessionService]
    ) -> Message:
        """Sign this device out. Its tokens stop working at once."""
        await session_service.log_out(request.user)
        return Message("Signed out.")

    @get("/sessions")
    async def sessions(
        self, request: Authenticated, session_service: NamedDependency[SessionService]
    ) -> list[Device]:
        """List the devices that are signed in, newest first."""
        return await session_service.list_devices(request.user)

    @delete("/sessions/{session_id:str}", status_code=200)
    async def end_session(
        self,
        request: Authenticated,
        session_id: Annotated[str, PathParameter(pattern=SESSION_ID_PATTERN)],
        session_service: NamedDependency[SessionService],
    ) -> Message:
        """Sign one of your devices out. Its tokens stop working at once."""
        await session_service.end(request.user, session_id)
        return Message("The device is signed out.")

    @delete("/sessions", status_code=200)
    async def end_sessions(
        self,
        request: Authenticated,
        session_service: NamedDependency[SessionService],
        keep_current: Annotated[
            bool, QueryParameter(name="keepCurrent", description="Leave this device signed in.")
        ] = False,
    ) -> Message:
        """Sign all your devices out, or all but this one with `keepCurrent=true`."""
        count = await session_service.end_all(request.user, keep_current=keep_current)
        return Message(f"Signed out on {count} {'device' if count == 1 else 'devices'}.")

    @put("/password", responses=problems(Conflict))
    async def change_password(
        self,
        request: Authenticated,
        data: JSONBody[PasswordChange],
        session_service: NamedDependency[SessionService],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> LoggedIn:
        """Change your password. Every device is signed out; this one continues with the tokens in the answer."""
        return await session_service.change_password(
            request.user,
            data,
            request.headers.get("user-agent"),
            client_addresses.of(request.scope),
        )
