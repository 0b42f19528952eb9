"""HTTP for the console's session, which is a cookie before the same API."""

from typing import Any, Final

from litestar import Controller, Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from kernapay.console.session.dtos import (
    ConsoleEnrolled,
    ConsoleProof,
    ConsoleProven,
    ConsoleSession,
)
from kernapay.console.session.service import ConsoleSessions, Opened
from kernapay.core.errors import Conflict, Forbidden, Unauthenticated
from kernapay.security.addresses import ClientAddresses
from kernapay.security.authentication import PUBLIC
from kernapay.security.console import CONSOLE_COOKIE, FromNoOtherPage
from kernapay.security.guards import IsPerson, SignedIn
from kernapay.security.principal import Authenticated
from kernapay.security.rate_limits import RateLimited
from kernapay.sessions.dtos import Login
from kernapay.sessions.opening import ConsoleToken
from kernapay.sessions.second_factor.dtos import SecondFactorChallenge, SecondFactorConfirm
from kernapay.sessions.second_factor.service import (
    AlreadyEnrolled,
    SecondFactorRequired,
    WrongSecondFactor,
)
from kernapay.sessions.service import SessionService
from kernapay.web.handlers import delete, get, post
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import Message

_SIGN_IN: Final[dict[str, Any]] = {
    # Public: the caller has no session yet.
    "opt": {PUBLIC: True},
    "security": [{}],
    "guards": [FromNoOtherPage(), RateLimited("login")],
}
_SIGNED_IN: Final = [SignedIn(), IsPerson()]


class ConsoleSessionController(Controller):
    path = "/v1/api/console/session"
    tags = ["Console"]

    @post(
        status_code=200,
        **_SIGN_IN,
        responses={
            202: ResponseSpec(
                SecondFactorChallenge,
                description="The password is right, and the account has to enrol a second factor first.",
            ),
            **problems(Unauthenticated, SecondFactorRequired, WrongSecondFactor, Forbidden),
        },
    )
    async def sign_in(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[Login],
        console_sessions: NamedDependency[ConsoleSessions],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> Response[ConsoleSession]:
        """Sign in to the console, under the same limits as at the API. The session is in a cookie, and only there.

        The cookie counts only for pages of this origin, together with the header `X-KernaPay-Console: 1`. With the
        second factor that `CONSOLE_SECOND_FACTOR` demands of administrators still missing, the answer is 202 with the
        key of a new authenticator: confirm it with `POST /v1/api/console/session/enrolment`.
        """
        found = await console_sessions.sign_in(
            data, request.headers.get("user-agent"), client_addresses.of(request.scope)
        )
        if isinstance(found, Opened):
            return Response(found.session, cookies=[_cookie(found.token)])
        challenge: Response[Any] = Response(found, status_code=202)
        return challenge

    @get(guards=_SIGNED_IN)
    async def session(
        self, request: Authenticated, console_sessions: NamedDependency[ConsoleSessions]
    ) -> ConsoleSession:
        """Return who is signed in, until when, and what a page needs to show money and times.

        A call with the header `X-KernaPay-Background: 1`, as a page makes that nobody is at, is no use of the session:
        it does not put off the end of one that is not used.
        """
        return await console_sessions.view(request.user)

    @delete(guards=_SIGNED_IN, status_code=200)
    async def sign_out(
        self, request: Authenticated, session_service: NamedDependency[SessionService]
    ) -> Response[Message]:
        """Sign out of the console. The session ends at once, in every tab."""
        await session_service.log_out(request.user)
        return Response(Message("Signed out."), cookies=[_cookie(None)])

    @post(
        "/proof",
        status_code=200,
        guards=[*_SIGNED_IN, RateLimited("codes")],
        responses=problems(SecondFactorRequired, WrongSecondFactor),
    )
    async def prove(
        self,
        request: Authenticated,
        data: JSONBody[ConsoleProof],
        console_sessions: NamedDependency[ConsoleSessions],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> ConsoleProven:
        """Confirm who you are: calls that move money, change rights or show a secret demand it.

        Such a call of a session of the console is refused with 403 `proof_required`, and does nothing, when sign-in and
        last proof are longer ago than `CONSOLE_PROOF`. Repeat it after this one. It needs the password and, if the
        account has a second factor, a `code`.
        """
        return await console_sessions.prove(request.user, data, client_addresses.of(request.scope))


class ConsoleEnrolmentController(Controller):
    path = "/v1/api/console/session/enrolment"
    tags = ["Console"]
    opt = _SIGN_IN["opt"]
    security = _SIGN_IN["security"]
    guards = _SIGN_IN["guards"]

    @post(
        responses=problems(Forbidden, AlreadyEnrolled, Conflict),
    )
    async def enrol(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[SecondFactorConfirm],
        console_sessions: NamedDependency[ConsoleSessions],
    ) -> Response[ConsoleEnrolled]:
        """Confirm the second factor that the sign-in demanded. The answer opens the session, as a sign-in does."""
        token, enrolled = await console_sessions.enrol(data, request.headers.get("user-agent"))
        return Response(enrolled, cookies=[_cookie(token)])


def _cookie(token: ConsoleToken | None) -> Cookie:
    """Return the cookie of a session, or one that takes it away."""
    return Cookie(
        key=CONSOLE_COOKIE,
        value=token.token if token else "",
        # Its session decides when it ends. Without an age, a browser forgets it when it is closed.
        max_age=None if token else 0,
        path="/",
        httponly=True,
        secure=True,
        samesite="strict",
    )
