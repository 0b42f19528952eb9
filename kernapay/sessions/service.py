"""Sign in; refresh and end sessions."""

import hmac
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from kernapay.security.attempts import PasswordAttempts
from kernapay.security.passwords import (
    OPERATOR,
    PasswordHasher,
    check_strength,
    is_same_password,
)
from kernapay.security.principal import Principal
from kernapay.security.tokens import RefreshTokens
from kernapay.sessions.dtos import (
    Device,
    LoggedIn,
    Login,
    PasswordChange,
    device_of,
)
from kernapay.sessions.models import Session
from kernapay.sessions.opening import ACCOUNT_INACTIVE, SESSION_ENDED, SessionOpener
from kernapay.sessions.repository import SessionRepository
from kernapay.sessions.second_factor.service import SecondFactors
from kernapay.users.contacts import find_email_forms
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository

T = TypeVar("T")

_log = structlog.get_logger("kernapay.sessions")

# The first attempt may lose a race with another request. The second one reads what that request wrote.
_ATTEMPTS: Final = 2
_MAX_DEVICES: Final = 100


class RefreshRefused(Unauthenticated):
    """The refresh token was used before, has expired, or its session has ended."""

    code = "refresh_refused"


class Proof(NamedTuple):
    """A proved sign-in, by password and second factor."""

    user: User
    new_hash: str | None
    """A newer hash of the password, if it needs one."""
    has_second_factor: bool


class SessionService:
    def __init__(
        self,
        sessions: SessionRepository,
        users: UserRepository,
        passwords: PasswordHasher,
        attempts: PasswordAttempts,
        second_factors: SecondFactors,
        opener: SessionOpener,
        refresh_tokens: RefreshTokens,
        refresh_grace: timedelta,
        clock: Clock = now,
        *,
        production: bool,
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._passwords = passwords
        self._attempts = attempts
        self._second_factors = second_factors
        self._opener = opener
        self._refresh_tokens = refresh_tokens
        self._grace = refresh_grace
        self._clock = clock
        self._production = production

    async def log_in(self, data: Login, user_agent: str | None, address: str) -> LoggedIn:
        """Open a session. `address` is the client's network address.

        Raises Unauthenticated, SecondFactorRequired, WrongSecondFactor, TooManyRequests. The error is the same for an
        unknown e-mail address and for a wrong password.
        """

        async def open_session(proof: Proof) -> LoggedIn | None:
            return await self._opener.open(proof.user, user_agent, proof.new_hash)

        return await self.sign_in(data, address, open_session)

    async def sign_in(
        self, data: Login, address: str, open_session: Callable[[Proof], Awaitable[T | None]]
    ) -> T:
        """Check password and second factor, and return the session that `open_session` opens.

        `open_session` returns None if the account has changed meanwhile. Raises as `log_in` does.
        """
        proven_id = None
        has_second_factor = False
        for _ in range(_ATTEMPTS):
            user, new_hash = await self._check_password(data, address)
            # Once: the code of an authenticator does not work a second time.
            if proven_id != user.pk:
                has_second_factor = await self._second_factors.require(str(user.pk), data.code)
                proven_id = user.pk
            opened = await open_session(Proof(user, new_hash, has_second_factor))
            if opened is not None:
                return opened
        raise _wrong_credentials()

    async def _check_password(self, data: Login, address: str) -> tuple[User, str | None]:
        """Return the account, and a newer hash of the password if it needs one."""
        email = find_email_forms(data.email, production=self._production)
        user = await self._users.find_by_email(email) if email else None
        # Two accounts may have addresses that are one today. Each has its own count.
        account = user.email if user else email.normal if email else data.email
        async with self._attempts.guard(account, address):
            is_correct, new_hash = await self._passwords.verify(
                data.password, user.password if user else None, address
            )
            if user is None or not is_correct or user.status is not UserStatus.ACTIVE:
                raise _wrong_credentials()
        return user, new_hash

    async def prove_password(self, principal: Principal, password: str, address: str) -> User:
        """Return the caller's account if this is its password. Raises InvalidInput, TooManyRequests."""
        user = await self._users.get(id=principal.id)
        async with self._attempts.guard(user.email, address):
            is_correct, _ = await self._passwords.verify(password, user.password, address)
            if not is_correct:
                raise InvalidInput("This is not your current password.", field="currentPassword")
        return user

    async def refresh(self, token: str) -> LoggedIn:
        """Exchange a refresh token for new tokens. Raises RefreshRefused; a token used before ends its session."""
        fingerprint = self._refresh_tokens.fingerprint(token)
        session_id = self._refresh_tokens.session_id_of(token)
        for _ in range(_ATTEMPTS):
            session = await self._sessions.get_one_or_none(id=session_id)
            if session is None or session.expires_at <= self._clock():
                raise RefreshRefused(SESSION_ENDED)
            user = await self._users.get_one_or_none(id=session.user_id)
            if user is None or user.status is not UserStatus.ACTIVE:
                raise RefreshRefused(ACCOUNT_INACTIVE)
            if not hmac.compare_digest(fingerprint, session.refresh_hash or ""):
                return await self._answer_used_token(token, session, user)
            next_token = self._refresh_tokens.derive_next(token)
            next_hash = self._refresh_tokens.fingerprint(next_token)
            expires_at = self._clock() + self._opener.lifetime
            session = await self._sessions.rotate(session, next_hash, expires_at)
            if session is not None:
                await self._users.record_refresh(str(user.pk), next_hash)
                return self._opener.issue(user, session, next_token)
        raise RefreshRefused(SESSION_ENDED)

    async def log_out(self, principal: Principal) -> None:
        """End the caller's session. Its tokens no longer work when this returns."""
        await self._sessions.end(principal.id, principal.session_id)

    async def list_devices(self, principal: Principal) -> list[Device]:
        """Return the caller's sessions, newest first, at most 100."""
        sessions = await self._sessions.list_active(principal.id, _MAX_DEVICES)
        return [device_of(session, principal.session_id) for session in sessions]

    async def end(self, principal: Principal, session_id: str) -> None:
        """End one of the caller's sessions. Raises NotFound if it is not theirs."""
        if not await self._sessions.end(principal.id, session_id):
            raise NotFound("You have no session with this id.")

    async def end_all(self, principal: Principal, *, keep_current: bool) -> int:
        """End the caller's sessions and return how many there were."""
        keep = principal.session_id if keep_current else None
        return await self._sessions.end(principal.id, keep=keep)

    async def change_password(
        self, principal: Principal, data: PasswordChange, user_agent: str | None, address: str
    ) -> LoggedIn:
        """Set a new password, end every session and open a new one for the caller.

        Raises InvalidInput, TooManyRequests, and Conflict if another request changed the password first.
        """
        user = await self.prove_password(principal, data.current_password, address)
        if is_same_password(data.password, data.current_password):
            raise InvalidInput("Must differ from the current password.", field="password")
        if not is_same_password(data.password, data.confirm_password):
            raise InvalidInput("Must be the same as password.", field="confirmPassword")
        check_strength(data.password, user.email, user.name)
        user = await self.replace_password(user, data.password, address)
        login = await self._opener.open(user, user_agent)
        if login is None:
            raise Unauthenticated("The password was changed. Sign in with the new one.")
        return login

    async def replace_password(self, user: User, password: str, client: str = OPERATOR) -> User:
        """Set a new password and end every session. The caller has already proved that the account is theirs.

        Raises TooManyRequests, and Conflict if the password has changed since `user` was read.
        """
        return await self.store_password(user, await self._passwords.hash(password, client))

    async def store_password(self, user: User, password_hash: str) -> User:
        """Set a new password by its hash and end every session. Raises Conflict, as `replace_password` does."""
        user_id = str(user.pk)
        # Before the change too: if the process dies right after it, no old session is left.
        await self._sessions.end(user_id)
        changed_user = await self._users.replace_password(user, password_hash)
        if changed_user is None:
            raise Conflict("Another request changed the password first. Sign in again.")
        await self._sessions.end(user_id)
        return changed_user

    async def _answer_used_token(self, token: str, session: Session, user: User) -> LoggedIn:
        """Return the replacement once more if the token was replaced within the grace period.

        Otherwise treat it as stolen: end the session and raise RefreshRefused. A token that we never issued ends none.
        """
        tokens = self._refresh_tokens
        is_previous = hmac.compare_digest(tokens.fingerprint(token), session.previous_hash or "")
        if not (is_previous or tokens.is_ours(token)):
            raise RefreshRefused(SESSION_ENDED)
        rotated_at = session.rotated_at
        is_repeat = is_previous and rotated_at and self._clock() - rotated_at <= self._grace
        if is_repeat and (next_token := tokens.find_next(token, session.refresh_hash or "")):
            # The process that replaced the token may have died before it evicted the session.
            await self._sessions.evict(str(user.pk))
            return self._opener.issue(user, session, next_token)
        await self._sessions.end(str(user.pk), session.pk)
        _log.warning("refresh_reused", user_id=str(user.pk))
        raise RefreshRefused(SESSION_ENDED)


def _wrong_credentials() -> Unauthenticated:
    return Unauthenticated("The e-mail address or the password is wrong.")
