"""Enrol, require and remove the second factor of an account."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from bson import ObjectId

from kernapay.audit.repository import AuditLog
from kernapay.core import qr_codes
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from kernapay.core.keys import BrokenSeal, Sealer
from kernapay.security.attempts import FailedAttempts
from kernapay.security.principal import Actor, Principal
from kernapay.sessions.models import SecondFactor
from kernapay.sessions.second_factor.codes import (
    find_step,
    hash_all,
    hash_recovery_code,
    is_of_authenticator,
    make_uri,
    new_key,
    new_recovery_codes,
)
from kernapay.sessions.second_factor.dtos import (
    QrCode,
    SecondFactorChallenge,
    SecondFactorConfirm,
    SecondFactorState,
)
from kernapay.sessions.second_factor.repository import SecondFactorRepository
from kernapay.storage.repository import DuplicateRow
from kernapay.users.models import User
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.sessions")
# Long enough to install an authenticator.
_CHALLENGE_LIFETIME: Final = timedelta(minutes=15)
_NO_CHALLENGE: Final = "Not valid any more. Begin again."


class SecondFactorRequired(Unauthenticated):
    """The account has a second factor. Repeat the call with a `code` of its authenticator."""

    code = "second_factor_required"
    title = "Code required"


class WrongSecondFactor(Unauthenticated):
    """The code is wrong, or was used before."""

    code = "wrong_second_factor"
    title = "Wrong code"


class AlreadyEnrolled(Conflict):
    """The account has a second factor already. Disable that one first."""

    code = "already_enrolled"
    title = "Already enrolled"


class _Challenge(msgspec.Struct):
    """The content of a challenge. The client keeps it encrypted, so an unfinished enrolment leaves no row."""

    user_id: str
    key: str
    password_mark: str
    until: datetime


class SecondFactors:
    def __init__(
        self,
        factors: SecondFactorRepository,
        users: UserRepository,
        attempts: FailedAttempts,
        keys: Sealer,
        challenges: Sealer,
        audit: AuditLog,
        pool: Bulkhead,
        issuer: str,
        clock: Clock = now,
    ) -> None:
        """QR codes are drawn in `pool`. `issuer` is the service name that an authenticator shows."""
        self._factors = factors
        self._users = users
        self._attempts = attempts
        self._keys = keys
        self._challenges = challenges
        self._audit = audit
        self._pool = pool
        self._issuer = issuer
        self._clock = clock

    async def state(self, user_id: str) -> SecondFactorState:
        row = await self._factors.of_account(user_id)
        if row is None:
            return SecondFactorState(is_enrolled=False)
        return SecondFactorState(True, row.created_at, len(row.recovery_hashes))

    async def require(self, user_id: str, code: str | None) -> bool:
        """Demand a code if the account has a second factor. Return whether it has one.

        Raises SecondFactorRequired, WrongSecondFactor, TooManyRequests.
        """
        row = await self._factors.of_account(user_id)
        if row is None:
            return False
        if code is None:
            raise SecondFactorRequired("Send the code that your authenticator shows as `code`.")
        # By account and not by address: whoever gets here has the password, so a stranger locks nobody out.
        async with self._attempts.guard(f"second factor {user_id}", WrongSecondFactor):
            if not await self._use(row, code):
                raise WrongSecondFactor(
                    "The code is wrong or was used before. Wait for the next one."
                )
        return True

    async def challenge(self, user: User) -> SecondFactorChallenge:
        """Return a key to enrol, after the password was proved. Raises AlreadyEnrolled, Unavailable."""
        if await self._factors.of_account(str(user.pk)) is not None:
            raise _already_enrolled()
        key, until = new_key(), self._clock() + _CHALLENGE_LIFETIME
        uri = make_uri(key, user.email, self._issuer)
        drawing = await self._pool.run(qr_codes.draw, uri)
        sealed = _Challenge(str(user.pk), key, _mark_of(user), until)
        return SecondFactorChallenge(
            challenge=self._challenges.seal(msgspec.json.encode(sealed).decode()).decode(),
            secret=key,
            uri=uri,
            qr=QrCode(drawing.size, drawing.path),
            expires_at=until,
        )

    async def challenged(self, challenge: str) -> User:
        """Return the account of a valid challenge. Raises InvalidInput."""
        return (await self._open(challenge))[0]

    async def confirm(self, actor: Principal, data: SecondFactorConfirm) -> list[str]:
        """Store the second factor of the caller. Return the recovery codes. Raises InvalidInput, AlreadyEnrolled."""
        user, challenge = await self._open(data.challenge)
        user_id = str(user.pk)
        if user_id != actor.id:
            raise InvalidInput(_NO_CHALLENGE, field="challenge")
        if await self._factors.of_account(user_id) is not None:
            raise _already_enrolled()
        step = find_step(challenge.key, data.code, self._clock())
        if step is None or not is_of_authenticator(data.code):
            raise InvalidInput(
                "The code is wrong. Check the clock of the authenticator's device, and try the next code.",
                field="code",
            )
        codes = new_recovery_codes()
        row = SecondFactor(
            id=ObjectId(user_id),
            sealed=self._keys.seal(challenge.key),
            last_step=step,
            recovery_hashes=hash_all(codes),
        )
        async with self._audit.action(actor, "second_factor.enable", f"user:{user_id}"):
            try:
                await self._factors.add(row)
            except DuplicateRow as error:
                raise _already_enrolled() from error
        return codes

    async def disable(self, actor: Principal, code: str) -> None:
        """Remove the caller's second factor. Raises NotFound, WrongSecondFactor, TooManyRequests."""
        if not await self.require(actor.id, code):
            raise NotFound("You have no second factor.")
        await self.remove(actor, actor.id)

    async def remove(self, actor: Actor, user_id: str) -> None:
        """Remove the second factor of an account. Raises NotFound."""
        if await self._factors.of_account(user_id) is None:
            raise NotFound("The account has no second factor.")
        async with self._audit.action(actor, "second_factor.disable", f"user:{user_id}"):
            await self._factors.remove(user_id)

    async def _use(self, row: SecondFactor, code: str) -> bool:
        user_id = str(row.pk)
        if not is_of_authenticator(code):
            return await self._factors.use_recovery_code(user_id, hash_recovery_code(code))
        try:
            step = find_step(self._keys.open(row.sealed), code, self._clock())
            # The earlier JWT_SECRET may be forgotten at the next rotation.
            renewed = self._keys.renew(row.sealed)
        except BrokenSeal:
            _log.error(
                "second_factor_sealed_with_unknown_secret",
                user_id=user_id,
                fix="set JWT_SECRET_PREVIOUS to the secret that was in use when it was enrolled",
            )
            return False
        return step is not None and await self._factors.use_step(user_id, step, renewed)

    async def _open(self, text: str) -> tuple[User, _Challenge]:
        try:
            opened = self._challenges.open(text.encode())
        except BrokenSeal as error:
            raise InvalidInput(_NO_CHALLENGE, field="challenge") from error
        challenge = msgspec.json.decode(opened, type=_Challenge)
        user = await self._users.get_one_or_none(id=challenge.user_id)
        has_changed = user is None or _mark_of(user) != challenge.password_mark
        if user is None or has_changed or challenge.until <= self._clock():
            raise InvalidInput(_NO_CHALLENGE, field="challenge")
        return user, challenge


def _already_enrolled() -> AlreadyEnrolled:
    return AlreadyEnrolled("You have a second factor already. Disable it to enrol another one.")


def _mark_of(user: User) -> str:
    """Return a mark that changes with the password, so that earlier challenges become invalid."""
    return hashlib.sha256(user.password.encode()).hexdigest()
