"""Open, refresh and end sessions, and authenticate the holder of a token."""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from kernapay.core.background import Background
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound, Unauthenticated, Unavailable
from kernapay.security.attempts import PasswordAttempts
from kernapay.security.passwords import (
    OPERATOR,
    PasswordHasher,
    check_strength,
    is_same_password,
)
from kernapay.security.principal import Principal, Role
from kernapay.security.tokens import Claims, RefreshTokens, TokenIssuer
from kernapay.sessions.dtos import (
    Device,
    LoggedIn,
    Login,
    PasswordChange,
    SignedInUser,
    device_of,
)
from kernapay.sessions.models import Session
from kernapay.sessions.repository import SessionRepository
from kernapay.users.contacts import find_email_forms
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.sessions")

# The first attempt may lose a race with another request. The second one reads what that request wrote.
_ATTEMPTS: Final = 2
_MAX_DEVICES: Final = 100
_USE_INTERVAL: Final = timedelta(hours=1)  # a write for every request would be too much
_SESSION_ENDED: Final = "The session has ended. Sign in again."
_ACCOUNT_INACTIVE: Final = "This account is not active. Ask an administrator to activate it."


class RefreshRefused(Unauthenticated):
    """The refresh token was used before, has expired, or its session has ended."""

    code = "refresh_refused"


class _Account(msgspec.Struct, rename="camel"):
    """The part of a cached profile that authentication needs."""

    type: Role
    status: UserStatus
    is_email_verified: bool = False
    is_mobile_number_verified: bool = False


class _Validity(msgspec.Struct, rename="camel"):
    """The part of a cached session that authentication needs."""

    expires_at: datetime
    created_at: datetime
    last_used_at: datetime | None = None


_decode_account = msgspec.json.Decoder(_Account).decode
_decode_validity = msgspec.json.Decoder(_Validity).decode


class SessionService:
    def __init__(
        self,
        sessions: SessionRepository,
        users: UserRepository,
        passwords: PasswordHasher,
        attempts: PasswordAttempts,
        tokens: TokenIssuer,
        refresh_tokens: RefreshTokens,
        refresh_expiry: timedelta,
        refresh_grace: timedelta,
        background: Background,
        clock: Clock = now,
        *,
        production: bool,
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._passwords = passwords
        self._attempts = attempts
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        # A session must last at least as long as its access tokens: they are refused when it ends.
        self._lifetime = max(refresh_expiry, tokens.lifetime)
        self._grace = refresh_grace
        self._background = background
        self._clock = clock
        self._production = production

    async def log_in(self, data: Login, user_agent: str | None, address: str) -> LoggedIn:
        """Open a session. `address` is the client's network address. Raises Unauthenticated, TooManyRequests.

        The error is the same for an unknown e-mail address and for a wrong password.
        """
        email = find_email_forms(data.email, production=self._production)
        for _ in range(_ATTEMPTS):
            user = await self._users.find_by_email(email) if email else None
            # Two accounts may have addresses that are one today. Each has its own count.
            account = user.email if user else email.normal if email else data.email
            async with self._attempts.guard(account, address):
                is_correct, new_hash = await self._passwords.verify(
                    data.password, user.password if user else None, address
                )
                if user is None or not is_correct or user.status is not UserStatus.ACTIVE:
                    raise Unauthenticated("The e-mail address or the password is wrong.")
            login = await self._open(user, user_agent, new_hash)
            if login is not None:
                return login
        raise Unauthenticated("The e-mail address or the password is wrong.")

    async def refresh(self, token: str) -> LoggedIn:
        """Exchange a refresh token for new tokens. Raises RefreshRefused; a token used before ends its session."""
        fingerprint = self._refresh_tokens.fingerprint(token)
        session_id = self._refresh_tokens.session_id_of(token)
        for _ in range(_ATTEMPTS):
            session = await self._sessions.get_one_or_none(id=session_id)
            if session is None or session.expires_at <= self._clock():
                raise RefreshRefused(_SESSION_ENDED)
            user = await self._users.get_one_or_none(id=session.user_id)
            if user is None or user.status is not UserStatus.ACTIVE:
                raise RefreshRefused(_ACCOUNT_INACTIVE)
            if not hmac.compare_digest(fingerprint, session.refresh_hash or ""):
                return await self._answer_used_token(token, session, user)
            next_token = self._refresh_tokens.derive_next(token)
            next_hash = self._refresh_tokens.fingerprint(next_token)
            expires_at = self._clock() + self._lifetime
            session = await self._sessions.rotate(session, next_hash, expires_at)
            if session is not None:
                await self._users.record_refresh(str(user.pk), next_hash)
                return self._issue_tokens(user, session, next_token)
        raise RefreshRefused(_SESSION_ENDED)

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
        user = await self._users.get(id=principal.id)
        async with self._attempts.guard(user.email, address):
            is_correct, _ = await self._passwords.verify(
                data.current_password, user.password, address
            )
            if not is_correct:
                raise InvalidInput("This is not your current password.", field="currentPassword")
        if is_same_password(data.password, data.current_password):
            raise InvalidInput("Must differ from the current password.", field="password")
        if not is_same_password(data.password, data.confirm_password):
            raise InvalidInput("Must be the same as password.", field="confirmPassword")
        check_strength(data.password, user.email, user.name)
        user = await self.replace_password(user, data.password, address)
        login = await self._open(user, user_agent)
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

    async def authenticate(self, claims: Claims) -> Principal:
        """Return the caller that the token stands for, in one round trip to the cache. Raises Unauthenticated."""
        key = {"user_id": claims.sub, "session_id": claims.sid}
        session, profile = await self._sessions.cache.peek(
            self._sessions.session.address(**key), self._users.profile.address(user_id=claims.sub)
        )
        if session is None:
            session = await self._sessions.session.encoded(**key)
        validity = None if session is None else _decode_validity(session)
        if validity is None or validity.expires_at <= self._clock():
            raise Unauthenticated(_SESSION_ENDED)
        if profile is None:
            profile = await self._users.profile.encoded(user_id=claims.sub)
        if profile is None:
            raise Unauthenticated("This account no longer exists.")
        account = _decode_account(profile)
        if account.status is not UserStatus.ACTIVE:
            raise Unauthenticated(_ACCOUNT_INACTIVE)
        if self._clock() - (validity.last_used_at or validity.created_at) >= _USE_INTERVAL:
            self._background.start(claims.sid, lambda: self._record_use(claims))
        return Principal(
            id=claims.sub,
            role=account.type,
            session_id=claims.sid,
            is_email_verified=account.is_email_verified,
            is_mobile_verified=account.is_mobile_number_verified,
        )

    async def _record_use(self, claims: Claims) -> None:
        try:
            await self._sessions.touch(claims.sub, claims.sid)
        except Unavailable as error:
            _log.info("use_not_noted", code=error.code)  # the next request tries again

    async def _open(
        self, user: User, user_agent: str | None, new_password_hash: str | None = None
    ) -> LoggedIn | None:
        """Open a session. Return None if the password or the status has changed since `user` was read.

        Store the session before that check: a password change that the check misses finds the session and ends it.
        """
        session_id = secrets.token_urlsafe(16)
        token = self._refresh_tokens.create(session_id)
        refresh_hash = self._refresh_tokens.fingerprint(token)
        at = self._clock()
        session = await self._sessions.add(
            Session(
                id=session_id,
                user_id=user.pk,
                user_agent=(user_agent or "")[:200],
                last_used_at=at,
                expires_at=at + self._lifetime,
                refresh_hash=refresh_hash,
            )
        )
        if not await self._users.record_sign_in(user, refresh_hash, new_password_hash):
            await self._sessions.end(str(user.pk), session_id)
            return None
        return self._issue_tokens(user, session, token)

    async def _answer_used_token(self, token: str, session: Session, user: User) -> LoggedIn:
        """Return the replacement once more if the token was replaced within the grace period.

        Otherwise treat it as stolen: end the session and raise RefreshRefused. One that never was ours ends nothing.
        """
        tokens = self._refresh_tokens
        is_previous = hmac.compare_digest(tokens.fingerprint(token), session.previous_hash or "")
        if not (is_previous or tokens.is_ours(token)):
            raise RefreshRefused(_SESSION_ENDED)
        rotated_at = session.rotated_at
        is_repeat = is_previous and rotated_at and self._clock() - rotated_at <= self._grace
        if is_repeat and (next_token := tokens.find_next(token, session.refresh_hash or "")):
            # The process that replaced the token may have died before it evicted the session.
            await self._sessions.evict(str(user.pk))
            return self._issue_tokens(user, session, next_token)
        await self._sessions.end(str(user.pk), session.pk)
        _log.warning("refresh_reused", user_id=str(user.pk))
        raise RefreshRefused(_SESSION_ENDED)

    def _issue_tokens(self, user: User, session: Session, refresh_token: str) -> LoggedIn:
        expires_at = self._clock() + self._tokens.lifetime
        return LoggedIn(
            token=self._tokens.issue(str(user.pk), session.pk, expires_at),
            refresh_token=refresh_token,
            user=SignedInUser(id=str(user.pk), email=user.email, name=user.name, type=user.type),
            expires_at=expires_at,
            refresh_expires_at=session.expires_at,
        )
