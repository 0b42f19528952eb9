"""Issue, check and spend one-time codes by the rules of their purpose."""

import hashlib
import hmac
import math
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput, TooManyRequests
from kernapay.core.keys import derive_key
from kernapay.core.text import digits_of
from kernapay.verification.models import Code, Purpose
from kernapay.verification.policies import POLICIES, RESEND_AFTER
from kernapay.verification.repository import CodeRepository


class WrongCode(InvalidInput):
    """The code is wrong, used or expired, or has no attempts left."""

    code = "wrong_code"
    title = "Wrong code"


class TooSoon(TooManyRequests):
    """A code was sent less than a minute ago, or too many in a day. `Retry-After` says when to request the next one."""

    code = "code_too_soon"


class IssuedCode(NamedTuple):
    code: str
    expires_at: datetime
    resend_at: datetime
    """When the next code may be requested."""


class CheckedCode(NamedTuple):
    """A correct code: its row, and its digest."""

    row_id: str
    digest: str


class Codes:
    """Issue and redeem one-time codes.

    A code is valid only for its purpose, for its subject (a user's id, or an address for a password reset), and for
    the address or number it was sent to.
    """

    def __init__(
        self, codes: CodeRepository, jwt_secrets: Sequence[str], clock: Clock = now
    ) -> None:
        self._codes = codes
        # Of the current secret and, during a rotation, of the previous one.
        self._keys = tuple(derive_key(secret, "one-time codes") for secret in jwt_secrets)
        self._clock = clock

    async def require_due(self, purpose: Purpose, subject: str) -> None:
        """Raise TooSoon if the subject may not have a new code yet."""
        row = await self._codes.find(self._ids(purpose, subject))
        if row is not None and (seconds := self._seconds_left(purpose, row)) > 0:
            raise _too_soon(seconds)

    async def issue(self, purpose: Purpose, subject: str, to: str) -> IssuedCode:
        """Return a new code for the subject. Raises TooSoon."""
        policy = POLICIES[purpose]
        code = f"{secrets.randbelow(10**policy.digits):0{policy.digits}d}"
        ids = self._ids(purpose, subject)
        digest = _code_digest(self._keys[0], purpose, subject, to, code)
        row = await self._codes.replace(ids, digest, policy)
        if row is None:
            current = await self._codes.find(ids)
            raise _too_soon(self._seconds_left(purpose, current) if current else 0)
        return IssuedCode(code, row.expires_at, row.sent_at + RESEND_AFTER)

    async def redeem(self, purpose: Purpose, subject: str, to: str, code: str) -> None:
        """Check and spend the subject's code. Raises WrongCode."""
        await self.spend(await self.check(purpose, subject, to, code))

    async def check(self, purpose: Purpose, subject: str, to: str, code: str) -> CheckedCode:
        """Return the code, unspent, if it is correct. Counts as an attempt. Raises WrongCode."""
        code = digits_of(code)
        ids = self._ids(purpose, subject)
        row = await self._codes.count_attempt(ids, POLICIES[purpose].max_attempts)
        digests = [_code_digest(key, purpose, subject, to, code) for key in self._keys]
        valid = [] if row is None else self._valid_digests(row)
        matches = [
            each for each in valid for digest in digests if hmac.compare_digest(digest, each)
        ]
        if row is None or not matches:
            raise wrong_code()
        return CheckedCode(row.id, matches[0])

    async def spend(self, code: CheckedCode) -> None:
        """Make the subject's codes unusable. Raises WrongCode if another request has spent or replaced it first."""
        if not await self._codes.spend(*code):
            raise wrong_code()

    def _ids(self, purpose: Purpose, subject: str) -> list[str]:
        """Return the ids that the subject's row may have, one for each secret. A new row gets the first."""
        # Not the subject itself: it may be an e-mail address, and MongoDB writes ids into its log.
        return [f"{purpose.value}:{_keyed_digest(key, subject)}" for key in self._keys]

    def _valid_digests(self, row: Code) -> list[str]:
        at = self._clock()
        codes = [(row.digest, row.expires_at), *((e.digest, e.expires_at) for e in row.earlier)]
        return [digest for digest, expires_at in codes if digest and expires_at > at]

    def _seconds_left(self, purpose: Purpose, row: Code) -> int:
        """Return in how many seconds the subject may have the next code."""
        policy = POLICIES[purpose]
        resend_at = row.sent_at + RESEND_AFTER
        period_ends = row.day_ends - policy.lifetime
        if row.issued >= policy.max_issued and period_ends <= self._clock() + policy.period:
            resend_at = max(resend_at, period_ends)
        return math.ceil((resend_at - self._clock()).total_seconds())


def _too_soon(seconds: int) -> TooSoon:
    seconds = max(1, seconds)
    return TooSoon(f"Request the next code in {seconds} seconds.", retry_after=seconds)


def wrong_code() -> WrongCode:
    """Return the error, which is the same for every reason so that it does not help an attacker."""
    return WrongCode(
        "The code is wrong or no longer valid. Check it, or request a new one.", field="code"
    )


def _code_digest(key: bytes, purpose: Purpose, subject: str, to: str, code: str) -> str:
    # With a key: without one, the hashes of all six-digit codes can be computed in a second.
    return _keyed_digest(key, "\0".join((f"{purpose.value}:{subject}", to, code)))


def _keyed_digest(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
