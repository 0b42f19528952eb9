"""Open sessions, and issue their tokens."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from kernapay.core.clock import Clock, now
from kernapay.security.tokens import RefreshTokens, TokenIssuer
from kernapay.sessions.dtos import LoggedIn, SignedInUser
from kernapay.sessions.models import Session
from kernapay.sessions.repository import SessionRepository
from kernapay.users.models import User
from kernapay.users.repository import UserRepository

SESSION_ENDED: Final = "The session has ended. Sign in again."
ACCOUNT_INACTIVE: Final = "This account is not active. Ask an administrator to activate it."


class ConsoleToken(NamedTuple):
    """The token in the console's cookie. It ends with its session."""

    token: str
    session_id: str
    expires_at: datetime


class SessionOpener:
    def __init__(
        self,
        sessions: SessionRepository,
        users: UserRepository,
        tokens: TokenIssuer,
        refresh_tokens: RefreshTokens,
        refresh_expiry: timedelta,
        console_lifetime: timedelta,
        clock: Clock = now,
        more_claims: Callable[[User], Mapping[str, str]] | None = None,
    ) -> None:
        """`more_claims` returns additional token claims for clients. The service never reads them."""
        self._sessions = sessions
        self._users = users
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        # A session must last at least as long as its access tokens: they are refused when it ends.
        self.lifetime = max(refresh_expiry, tokens.lifetime)
        self._console_lifetime = console_lifetime
        self._clock = clock
        self._more_claims = more_claims

    async def open(
        self, user: User, user_agent: str | None, new_password_hash: str | None = None
    ) -> LoggedIn | None:
        """Open a session. Return None if the password or the status has changed since `user` was read."""
        session_id = secrets.token_urlsafe(16)
        token = self._refresh_tokens.create(session_id)
        session = Session(
            id=session_id,
            user_id=user.pk,
            user_agent=(user_agent or "")[:200],
            refresh_hash=self._refresh_tokens.fingerprint(token),
        )
        stored = await self._store(user, session, self.lifetime, new_password_hash)
        return None if stored is None else self.issue(user, stored, token)

    async def open_console(
        self, user: User, user_agent: str | None, new_password_hash: str | None = None
    ) -> ConsoleToken | None:
        """Open a session of the console, which has no refresh token. Return None as `open` does."""
        session = Session(
            id=secrets.token_urlsafe(16),
            user_id=user.pk,
            user_agent=(user_agent or "")[:200],
            is_console=True,
        )
        stored = await self._store(user, session, self._console_lifetime, new_password_hash)
        if stored is None:
            return None
        token = self._tokens.issue(str(user.pk), stored.pk, stored.expires_at)
        return ConsoleToken(token, stored.pk, stored.expires_at)

    def issue(self, user: User, session: Session, refresh_token: str) -> LoggedIn:
        expires_at = self._clock() + self._tokens.lifetime
        claims = self._more_claims(user) if self._more_claims else None
        return LoggedIn(
            token=self._tokens.issue(str(user.pk), session.pk, expires_at, claims),
            refresh_token=refresh_token,
            user=SignedInUser(id=str(user.pk), email=user.email, name=user.name, type=user.type),
            expires_at=expires_at,
            refresh_expires_at=session.expires_at,
        )

    async def _store(
        self, user: User, session: Session, lifetime: timedelta, new_password_hash: str | None
    ) -> Session | None:
        """Store a session before the check: a password change that the check misses finds it and ends it."""
        at = self._clock()
        session.last_used_at = at
        session.expires_at = at + lifetime
        stored = await self._sessions.add(session)
        if not await self._users.record_sign_in(user, session.refresh_hash, new_password_hash):
            await self._sessions.end(str(user.pk), session.pk)
            return None
        return stored
