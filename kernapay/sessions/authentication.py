"""Find out who holds a token, from the present state of the session and of the account."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec
import structlog

from kernapay.core.background import Background
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unauthenticated, Unavailable
from kernapay.security.principal import Principal, Role, may_use_console
from kernapay.security.tokens import Claims
from kernapay.sessions.opening import ACCOUNT_INACTIVE, SESSION_ENDED
from kernapay.sessions.repository import SessionRepository
from kernapay.storage.cached import Entries
from kernapay.storage.redis import Address
from kernapay.users.models import UserStatus
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.sessions")
# A write for every request would be too much.
_USE_INTERVAL: Final = timedelta(hours=1)
# Of the console, whose sessions end when they are not used.
_CONSOLE_USE_INTERVAL: Final = timedelta(minutes=1)
_KNOWN_SESSIONS: Final = 10_000
_OTHER_DOOR: Final = "This token is of another kind of session. Sign in again."


class _Account(msgspec.Struct, rename="camel"):
    """The part of a cached profile that authentication needs."""

    type: Role
    status: UserStatus
    is_email_verified: bool = False
    is_mobile_number_verified: bool = False
    is_approved_provider: bool = False


class _Validity(msgspec.Struct, rename="camel"):
    """The part of a cached session that authentication needs."""

    expires_at: datetime
    created_at: datetime
    last_used_at: datetime | None = None
    is_console: bool | None = None
    proven_at: datetime | None = None

    @property
    def used_at(self) -> datetime:
        return self.last_used_at or self.created_at

    @property
    def newest_proof(self) -> datetime:
        return self.proven_at or self.created_at


_decode_account = msgspec.json.Decoder(_Account).decode
_decode_validity = msgspec.json.Decoder(_Validity).decode


class SessionAuthentication:
    def __init__(
        self,
        sessions: SessionRepository,
        users: UserRepository,
        background: Background,
        console_idle: timedelta,
        console_proof: timedelta,
        clock: Clock = now,
    ) -> None:
        """`console_idle` ends an unused session of the console, and a proof is valid for `console_proof`."""
        self._sessions = sessions
        self._users = users
        self._background = background
        self._console_idle = console_idle
        self._console_proof = console_proof
        self._clock = clock
        self._addresses_of = lru_cache(_KNOWN_SESSIONS)(self._find_addresses)

    async def authenticate_console(self, claims: Claims, *, is_use: bool) -> Principal:
        """Return the caller of the console's cookie. Raises Unauthenticated.

        Without `is_use`, as for a page that polls, the call does not keep an unused session alive.
        """
        principal, _ = await self.authenticate(claims, is_console=True, is_use=is_use)
        if not may_use_console(principal.role, is_approved_provider=principal.is_approved_provider):
            raise Unauthenticated("Your role may not use the console any more.")
        return principal

    async def authenticate(
        self,
        claims: Claims,
        address: Address | None = None,
        *,
        is_console: bool = False,
        is_use: bool = True,
    ) -> tuple[Principal, Entries]:
        """Return the caller that a token stands for, and what was read of the cache in the same round trip.

        That is the caller's profile, and the value at the address. Raises Unauthenticated.
        """
        session_at, profile_at = self._addresses_of(claims.sub, claims.sid)
        others = (profile_at,) if address is None else (profile_at, address)
        session, *found = await self._sessions.cache.peek(session_at, *others)
        profile = found[0]
        if session is None:
            session = await self._sessions.session.encoded(
                user_id=claims.sub, session_id=claims.sid
            )
        validity = None if session is None else _decode_validity(session)
        at = self._clock()
        if validity is None or validity.expires_at <= at:
            raise Unauthenticated(SESSION_ENDED)
        if bool(validity.is_console) is not is_console:
            raise Unauthenticated(_OTHER_DOOR)
        if is_console and at - validity.used_at >= self._console_idle:
            self._background.start(claims.sid, lambda: self._end(claims))
            raise Unauthenticated(SESSION_ENDED)
        if profile is None:
            profile = await self._users.profile.encoded(user_id=claims.sub)
        if profile is None:
            raise Unauthenticated("This account no longer exists.")
        account = _decode_account(profile)
        if account.status is not UserStatus.ACTIVE:
            raise Unauthenticated(ACCOUNT_INACTIVE)
        interval = _CONSOLE_USE_INTERVAL if is_console else _USE_INTERVAL
        if is_use and at - validity.used_at >= interval:
            self._background.start(claims.sid, lambda: self._record_use(claims))
        principal = Principal(
            id=claims.sub,
            role=account.type,
            session_id=claims.sid,
            is_email_verified=account.is_email_verified,
            is_mobile_verified=account.is_mobile_number_verified,
            is_approved_provider=account.is_approved_provider,
            needs_proof=is_console and at - validity.newest_proof >= self._console_proof,
        )
        return principal, dict(zip(others, found, strict=True))

    def _find_addresses(self, user_id: str, session_id: str) -> tuple[Address, Address]:
        """Return where the session and the profile are cached."""
        return (
            self._sessions.session.address(user_id=user_id, session_id=session_id),
            self._users.profile.address(user_id=user_id),
        )

    async def _record_use(self, claims: Claims) -> None:
        try:
            await self._sessions.touch(claims.sub, claims.sid)
        except Unavailable as error:
            _log.info("use_not_noted", code=error.code)  # the next request tries again

    async def _end(self, claims: Claims) -> None:
        try:
            await self._sessions.end(claims.sub, claims.sid)
        except Unavailable as error:
            _log.info("idle_session_not_ended", code=error.code)  # it is refused all the same
