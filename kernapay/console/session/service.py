"""Sign in to the console: a session in a cookie, with a second factor where it is required."""

from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from kernapay.console.session.dtos import (
    ConsoleEnrolled,
    ConsoleProof,
    ConsoleProven,
    ConsoleSession,
)
from kernapay.core.errors import Conflict, Forbidden, Unauthenticated
from kernapay.payments.currencies import unusual_exponents
from kernapay.security.principal import Principal, Role, may_use_console
from kernapay.sessions.dtos import Login, SignedInUser
from kernapay.sessions.opening import SESSION_ENDED, ConsoleToken, SessionOpener
from kernapay.sessions.repository import SessionRepository
from kernapay.sessions.second_factor.dtos import SecondFactorChallenge, SecondFactorConfirm
from kernapay.sessions.second_factor.service import SecondFactors
from kernapay.sessions.service import Proof, SessionService
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository


class Terms(NamedTuple):
    """The rules for every session of the console."""

    business: str
    zone: ZoneInfo
    livemode: bool
    idle_seconds: int
    demands_second_factor: bool
    """Whether administrators need a second factor."""
    proof_lifetime: timedelta


class Opened(NamedTuple):
    """A session, and the token for its cookie."""

    token: ConsoleToken
    session: ConsoleSession


class ConsoleSessions:
    def __init__(
        self,
        service: SessionService,
        sessions: SessionRepository,
        opener: SessionOpener,
        users: UserRepository,
        second_factors: SecondFactors,
        terms: Terms,
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._opener = opener
        self._users = users
        self._second_factors = second_factors
        self._terms = terms

    async def sign_in(
        self, data: Login, user_agent: str | None, address: str
    ) -> Opened | SecondFactorChallenge:
        """Open a session, or return a challenge to a person who must first enrol a second factor.

        Raises Forbidden, and what `SessionService.log_in` raises.
        """

        async def open_session(proof: Proof) -> Opened | SecondFactorChallenge | None:
            _require_role(proof.user)
            if self._demands_second_factor(proof.user) and not proof.has_second_factor:
                return await self._second_factors.challenge(proof.user)
            token = await self._opener.open_console(proof.user, user_agent, proof.new_hash)
            if token is None:
                return None
            return Opened(token, self._view(proof.user, token, proof.has_second_factor))

        return await self._service.sign_in(data, address, open_session)

    async def enrol(
        self, data: SecondFactorConfirm, user_agent: str | None
    ) -> tuple[ConsoleToken, ConsoleEnrolled]:
        """Enrol the second factor that the sign-in required, and open the session.

        Raises InvalidInput, Forbidden, AlreadyEnrolled, Conflict.
        """
        user = await self._second_factors.challenged(data.challenge)
        _require_role(user)
        # The challenge was for whoever had proved the password. There is no session yet.
        owner = Principal(str(user.pk), user.type, session_id="")
        codes = await self._second_factors.confirm(owner, data)
        token = await self._opener.open_console(user, user_agent)
        if token is None:
            raise Conflict("The account has changed meanwhile. Sign in again.")
        return token, ConsoleEnrolled(self._view(user, token, True), codes)

    async def view(self, caller: Principal) -> ConsoleSession:
        """Return the caller's session. Raises Forbidden, Unauthenticated."""
        user = await self._users.get(id=caller.id)
        _require_role(user)
        session = await self._sessions.session(user_id=caller.id, session_id=caller.session_id)
        if session is None:
            raise Unauthenticated(SESSION_ENDED)
        state = await self._second_factors.state(caller.id)
        token = ConsoleToken("", session.id, session.expires_at)
        return self._view(user, token, state.is_enrolled)

    async def prove(self, caller: Principal, data: ConsoleProof, address: str) -> ConsoleProven:
        """Let the caller prove once more who they are, as at the sign-in.

        Raises InvalidInput, SecondFactorRequired, WrongSecondFactor, TooManyRequests, Forbidden, Unauthenticated.
        """
        user = await self._service.prove_password(caller, data.current_password, address)
        _require_role(user)
        await self._second_factors.require(caller.id, data.code)
        at = await self._sessions.prove(caller.id, caller.session_id)
        if at is None:
            raise Unauthenticated(SESSION_ENDED)
        return ConsoleProven(at + self._terms.proof_lifetime)

    def _demands_second_factor(self, user: User) -> bool:
        return self._terms.demands_second_factor and user.type is Role.ADMIN

    def _view(self, user: User, token: ConsoleToken, has_second_factor: bool) -> ConsoleSession:
        return ConsoleSession(
            user=SignedInUser(id=str(user.pk), email=user.email, name=user.name, type=user.type),
            has_second_factor=has_second_factor,
            expires_at=token.expires_at,
            idle_seconds=self._terms.idle_seconds,
            business=self._terms.business,
            zone=str(self._terms.zone),
            livemode=self._terms.livemode,
            currency_exponents=unusual_exponents(),
        )


def _require_role(user: User) -> None:
    may = may_use_console(user.type, is_approved_provider=user.is_approved_provider)
    if not may or user.status is not UserStatus.ACTIVE:
        raise Forbidden(
            "The console is for administrators, lab assistants, and providers that an administrator has approved."
        )
    caller = Principal(str(user.pk), user.type, "", is_email_verified=user.is_email_verified)
    if caller.must_verify_first:
        raise Forbidden("Before your account works, confirm your e-mail address.")
