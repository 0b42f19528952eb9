"""HTTP for signing in and out, and for the devices that are signed in."""

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post, put
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
from kernapay.sessions.service import RefreshRefused, SessionService
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import Message


class LoginController(Controller):
    """Public: there is no valid token yet, or none any more."""

    path = "/v1/api/users"
    tags = ["Users"]
    opt = {PUBLIC: True}
    security = [{}]

    @post(
        "/login",
        status_code=200,
        guards=[RateLimited("login")],
        responses=problems(Unauthenticated),
    )
    async def log_in(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[Login],
        session_service: NamedDependency[SessionService],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> LoggedIn:
        """Sign in on this device.

        Whoever keeps sending wrong passwords has to wait, longer and longer.
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

        Each refresh token works once. When the answer got lost, repeat the call within seconds and get it again;
        a used refresh token that shows up later was stolen, and ends the session on this device.
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
        """End this device's session; its tokens stop working at once."""
        await session_service.log_out(request.user)
        return Message("Signed out.")

    @get("/sessions")
    async def sessions(
        self, request: Authenticated, session_service: NamedDependency[SessionService]
    ) -> list[Device]:
        """List the devices that are signed in, newest first."""
        return await session_service.devices(request.user)

    @delete("/sessions/{session_id:str}", status_code=200)
    async def end_session(
        self,
        request: Authenticated,
        session_id: Annotated[str, PathParameter(pattern=SESSION_ID_PATTERN)],
        session_service: NamedDependency[SessionService],
    ) -> Message:
        """Sign one of your devices out; its tokens stop working at once."""
        await session_service.end(request.user, session_id)
        return Message("That device is signed out.")

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
        ended = await session_service.end_all(request.user, keep_current=keep_current)
        return Message(f"Signed out on {ended} {'device' if ended == 1 else 'devices'}.")

    @put("/password", responses=problems(Conflict))
    async def change_password(
        self,
        request: Authenticated,
        data: JSONBody[PasswordChange],
        session_service: NamedDependency[SessionService],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> LoggedIn:
        """Change your password. Every device is signed out; this one goes on with the tokens of the answer."""
        return await session_service.change_password(
            request.user,
            data,
            request.headers.get("user-agent"),
            client_addresses.of(request.scope),
        )
