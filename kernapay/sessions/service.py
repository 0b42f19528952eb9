"""Signing in and out, and who a token stands for."""

import secrets
from datetime import datetime

import msgspec

from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput, Unauthenticated
from kernapay.security.passwords import PasswordHasher
from kernapay.security.principal import Principal, Role
from kernapay.security.tokens import Claims, TokenIssuer
from kernapay.sessions.models import Session
from kernapay.sessions.repository import SessionRepository
from kernapay.users.contacts import normalise_email
from kernapay.users.dtos import LoggedIn, Login, SignedInUser
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository


class _Account(msgspec.Struct, rename="camel"):
    """The part of a stored profile that authentication reads."""

    type: Role
    status: UserStatus


class _Lease(msgspec.Struct, rename="camel"):
    """The part of a stored session that authentication reads."""

    expires_at: datetime


_account = msgspec.json.Decoder(_Account)
_lease = msgspec.json.Decoder(_Lease)


class SessionService:
    def __init__(
        self,
        sessions: SessionRepository,
        users: UserRepository,
        passwords: PasswordHasher,
        tokens: TokenIssuer,
        clock: Clock = now,
        *,
        production: bool,
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._clock = clock
        self._production = production

    async def log_in(self, data: Login, user_agent: str | None) -> LoggedIn:
        """Open a session. Raises Unauthenticated without telling whether the address is known."""
        user = await self._find(data.email)
        fits, newer = await self._passwords.verify(data.password, user.password if user else None)
        if user is None or not fits or user.status is not UserStatus.ACTIVE:
            raise Unauthenticated("The e-mail address or the password is wrong.")
        if newer is not None:
            await self._users.update_where(
                {"id": user.pk, "password": user.password}, set__password=newer
            )
        session = await self._sessions.add(
            Session(
                id=secrets.token_urlsafe(16),
                user_id=user.pk,
                user_agent=(user_agent or "")[:200],
                expires_at=self._clock() + self._tokens.lifetime,
            )
        )
        return LoggedIn(
            token=self._tokens.issue(str(user.pk), session.id, session.expires_at),
            user=SignedInUser(id=str(user.pk), email=user.email, name=user.name, type=user.type),
            expires_at=session.expires_at,
        )

    async def log_out(self, principal: Principal) -> None:
        """End the caller's session: its token is worthless before this returns."""
        await self._sessions.end(principal.id, principal.session_id)

    async def authenticate(self, claims: Claims) -> Principal:
        """Say who holds the token now, in one round trip to the cache. Raises Unauthenticated."""
        mine = {"user_id": claims.sub, "session_id": claims.sid}
        session, account = await self._sessions.cache.peek(
            self._sessions.session.address(**mine), self._users.profile.address(user_id=claims.sub)
        )
        if session is None:
            session = await self._sessions.session.encoded(**mine)
        if session is None or _lease.decode(session).expires_at <= self._clock():
            raise Unauthenticated("The session has ended: sign in again.")
        if account is None:
            account = await self._users.profile.encoded(user_id=claims.sub)
        if account is None:
            raise Unauthenticated("This account is gone.")
        found = _account.decode(account)
        if found.status is not UserStatus.ACTIVE:
            raise Unauthenticated("This account is not active.")
        return Principal(id=claims.sub, role=found.type, session_id=claims.sid)

    async def _find(self, email: str) -> User | None:
        try:
            address = normalise_email(email, production=self._production)
        except InvalidInput:
            return None
        return await self._users.get_one_or_none(email=address)
