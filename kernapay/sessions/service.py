"""Signing in and out, staying signed in, and who a token stands for."""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from kernapay.core.background import Background
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound, Unauthenticated, Unavailable
from kernapay.security.passwords import PasswordHasher, check_strength
from kernapay.security.principal import Principal, Role
from kernapay.security.rate_limits import PasswordAttempts
from kernapay.security.tokens import Claims, RefreshTokens, TokenIssuer
from kernapay.sessions.dtos import (
    Device,
    LoggedIn,
    Login,
    PasswordChange,
    SessionView,
    SignedInUser,
)
from kernapay.sessions.models import Session
from kernapay.sessions.repository import SessionRepository
from kernapay.users.contacts import normalise_email
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.sessions")

# A second look is enough: it sees what the first lost its race to.
_LOOKS: Final = 2
_DEVICES: Final = 100
_NOTED_EVERY: Final = timedelta(hours=1)


class RefreshRefused(Unauthenticated):
    """The refresh token was used before, has expired, or its session has ended."""

    code = "refresh_refused"


class _Account(msgspec.Struct, rename="camel"):
    """The part of a stored profile that authentication reads."""

    type: Role
    status: UserStatus
    is_email_verified: bool = False
    is_mobile_number_verified: bool = False


class _Lease(msgspec.Struct, rename="camel"):
    """The part of a stored session that authentication reads."""

    expires_at: datetime
    created_at: datetime
    last_used_at: datetime | None = None


_account = msgspec.json.Decoder(_Account)
_lease = msgspec.json.Decoder(_Lease)


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
        # A session outlives its tokens, or the longer-lived of them would die with it.
        self._lifetime = max(refresh_expiry, tokens.lifetime)
        self._grace = refresh_grace
        self._background = background
        self._clock = clock
        self._production = production

    async def log_in(self, data: Login, user_agent: str | None, address: str) -> LoggedIn:
        """Open a session. Raises Unauthenticated without telling whether the address is known, TooManyRequests."""
        email = self._normal(data.email)
        for _ in range(_LOOKS):
            async with self._attempts.turn(email or data.email, address):
                user = await self._users.by_email(email) if email else None
                fits, newer = await self._passwords.verify(
                    data.password, user.password if user else None
                )
                if user is None or not fits or user.status is not UserStatus.ACTIVE:
                    raise Unauthenticated("The e-mail address or the password is wrong.")
            opened = await self._open(user, user_agent, newer)
            if opened is not None:
                return opened
        raise Unauthenticated("The e-mail address or the password is wrong.")

    async def refresh(self, token: str) -> LoggedIn:
        """Put new tokens in the place of this one.

        Raises RefreshRefused; when the token was used before, its session ends: somebody has a copy of it.
        """
        seen = self._refresh_tokens.fingerprint(token)
        session_id = self._refresh_tokens.session_of(token)
        for _ in range(_LOOKS):
            session = await self._sessions.get_one_or_none(id=session_id)
            if session is None or session.expires_at <= self._clock():
                raise RefreshRefused("The session has ended: sign in again.")
            user = await self._users.get_one_or_none(id=session.user_id)
            if user is None or user.status is not UserStatus.ACTIVE:
                raise RefreshRefused("This account is not active.")
            if not hmac.compare_digest(seen, session.refresh_hash or ""):
                return await self._repeat(token, seen, session, user)
            successor = self._refresh_tokens.next(token)
            rotated = await self._sessions.rotate(
                session,
                self._refresh_tokens.fingerprint(successor),
                self._clock() + self._lifetime,
            )
            if rotated is not None:
                await self._users.note_refresh(str(user.pk), str(rotated.refresh_hash))
                return self._signed_in(user, rotated, successor)
        raise RefreshRefused("The session has ended: sign in again.")

    async def log_out(self, principal: Principal) -> None:
        """End the caller's session: its tokens are worthless before this returns."""
        await self._sessions.end(principal.id, principal.session_id)

    async def devices(self, principal: Principal) -> list[Device]:
        """List the newest hundred of the caller's sessions."""
        found = await self._sessions.of(principal.id, _DEVICES)
        return [_device(session, principal) for session in found]

    async def end(self, principal: Principal, session_id: str) -> None:
        """End one of the caller's sessions. Raises NotFound when it is not theirs."""
        if not await self._sessions.end(principal.id, session_id):
            raise NotFound("You have no such session.")

    async def end_all(self, principal: Principal, *, keep_current: bool) -> int:
        """End the caller's sessions; how many there were."""
        return await self._sessions.end(
            principal.id, keep=principal.session_id if keep_current else None
        )

    async def change_password(
        self, principal: Principal, data: PasswordChange, user_agent: str | None, address: str
    ) -> LoggedIn:
        """Set a new password, end every session and open a new one for the caller.

        Raises InvalidInput naming the field, TooManyRequests, Conflict when the password changed meanwhile.
        """
        user = await self._users.get(id=principal.id)
        async with self._attempts.turn(user.email, address):
            fits, _ = await self._passwords.verify(data.current_password, user.password)
            if not fits:
                raise InvalidInput("This is not your password.", field="currentPassword")
        if data.password == data.current_password:
            raise InvalidInput("This is the password you have.", field="password")
        if data.password != data.confirm_password:
            raise InvalidInput("The passwords differ.", field="confirmPassword")
        check_strength(data.password, user.email, user.name)
        changed = await self.replace_password(user, data.password)
        opened = await self._open(changed, user_agent)
        if opened is None:
            raise Unauthenticated("Sign in with the new password.")
        return opened

    async def replace_password(self, user: User, password: str) -> User:
        """Set a password for someone who has proved to be this user; every session ends.

        Raises Conflict when the password is not the one of `user` any more.
        """
        hashed = await self._passwords.hash(password)
        user_id = str(user.pk)
        # Before too: a crash half way must not leave old sessions beside the new password.
        await self._sessions.end(user_id)
        changed = await self._users.replace_password(user, hashed)
        if changed is None:
            raise Conflict("The password was changed at the same time. Sign in again.")
        await self._sessions.end(user_id)
        return changed

    async def authenticate(self, claims: Claims) -> Principal:
        """Say who holds the token now, in one round trip to the cache. Raises Unauthenticated."""
        mine = {"user_id": claims.sub, "session_id": claims.sid}
        session, account = await self._sessions.cache.peek(
            self._sessions.session.address(**mine), self._users.profile.address(user_id=claims.sub)
        )
        if session is None:
            session = await self._sessions.session.encoded(**mine)
        lease = None if session is None else _lease.decode(session)
        if lease is None or lease.expires_at <= self._clock():
            raise Unauthenticated("The session has ended: sign in again.")
        if account is None:
            account = await self._users.profile.encoded(user_id=claims.sub)
        if account is None:
            raise Unauthenticated("This account is gone.")
        found = _account.decode(account)
        if found.status is not UserStatus.ACTIVE:
            raise Unauthenticated("This account is not active.")
        if self._clock() - (lease.last_used_at or lease.created_at) >= _NOTED_EVERY:
            self._background.start(claims.sid, lambda: self._note_use(claims))
        return Principal(
            id=claims.sub,
            role=found.type,
            session_id=claims.sid,
            email_verified=found.is_email_verified,
            mobile_verified=found.is_mobile_number_verified,
        )

    async def _note_use(self, claims: Claims) -> None:
        try:
            await self._sessions.touch(claims.sub, claims.sid)
        except Unavailable as error:
            _log.info("use_not_noted", code=error.code)  # the next request tries again

    async def _open(
        self, user: User, user_agent: str | None, newer_password: str | None = None
    ) -> LoggedIn | None:
        """Open a session for the user as read, None when password or status have changed since.

        The session is stored first: a change of password that the second step does not see will find it and end it.
        """
        session_id = secrets.token_urlsafe(16)
        token = self._refresh_tokens.first(session_id)
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
        if not await self._users.sign_in(user, refresh_hash, newer_password):
            await self._sessions.end(str(user.pk), session_id)
            return None
        return self._signed_in(user, session, token)

    async def _repeat(self, token: str, seen: str, session: Session, user: User) -> LoggedIn:
        """Answer a token that is not the newest: once more when it has just been replaced, or it was stolen."""
        fresh = session.rotated_at is not None and self._clock() - session.rotated_at <= self._grace
        if fresh and hmac.compare_digest(seen, session.previous_hash or ""):
            successor = self._refresh_tokens.next_of(token, session.refresh_hash or "")
            if successor is not None:
                # Whoever replaced it may not have got as far as dropping the session.
                await self._sessions.confirm(str(user.pk))
                return self._signed_in(user, session, successor)
        await self._sessions.end(str(user.pk), session.pk)
        _log.warning("refresh_reused", user_id=str(user.pk))
        raise RefreshRefused("The session has ended: sign in again.")

    def _signed_in(self, user: User, session: Session, refresh_token: str) -> LoggedIn:
        expires_at = self._clock() + self._tokens.lifetime
        return LoggedIn(
            token=self._tokens.issue(str(user.pk), session.pk, expires_at),
            refresh_token=refresh_token,
            user=SignedInUser(id=str(user.pk), email=user.email, name=user.name, type=user.type),
            expires_at=expires_at,
            refresh_expires_at=session.expires_at,
        )

    def _normal(self, email: str) -> str | None:
        try:
            return normalise_email(email, production=self._production)
        except InvalidInput:
            return None  # nobody's: no account was opened with it


def _device(session: SessionView, principal: Principal) -> Device:
    return Device(
        id=session.id,
        user_agent=session.user_agent,
        created_at=session.created_at,
        last_used_at=session.last_used_at or session.created_at,
        expires_at=session.expires_at,
        current=session.id == principal.session_id,
    )
