"""One-time codes: six digits, ten minutes, five attempts, one live code at a time."""

import hashlib
import hmac
import math
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput, TooManyRequests
from kernapay.core.keys import derive_key
from kernapay.verification.models import Code, Purpose
from kernapay.verification.repository import CodeRepository

DIGITS: Final = 6
LIFETIME: Final = timedelta(minutes=10)
RESEND_AFTER: Final = timedelta(seconds=60)
MAX_ATTEMPTS: Final = 5
# Together with the attempts: at most 50 guesses a day at one of a million codes. Also bounds the cost of messages.
MAX_PER_DAY: Final = 10


class WrongCode(InvalidInput):
    """The code is wrong, used or expired, or has no attempts left."""

    code = "wrong_code"
    title = "Wrong code"


class TooSoon(TooManyRequests):
    """A code was sent less than a minute ago, or ten in a day. `Retry-After` says when to request the next one."""

    code = "code_too_soon"


class IssuedCode(NamedTuple):
    code: str
    expires_at: datetime
    resend_at: datetime
    """When the next code may be requested."""


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

    async def issue(self, purpose: Purpose, subject: str, to: str) -> IssuedCode:
        """Return a new code for the subject. It replaces the one before. Raises TooSoon."""
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
        ids = self._ids(purpose, subject)
        digest = _code_digest(self._keys[0], purpose, subject, to, code)
        row = await self._codes.replace(
            ids, digest, lifetime=LIFETIME, resend_after=RESEND_AFTER, max_per_day=MAX_PER_DAY
        )
        if row is None:
            raise self._too_soon(await self._codes.find(ids))
        return IssuedCode(code, row.expires_at, row.sent_at + RESEND_AFTER)

    async def redeem(self, purpose: Purpose, subject: str, to: str, code: str) -> None:
        """Check and spend the subject's code. Raises WrongCode."""
        await self.spend(await self.check(purpose, subject, to, code))

    async def check(self, purpose: Purpose, subject: str, to: str, code: str) -> Code:
        """Return the subject's code, unspent, if it is correct. Counts as an attempt. Raises WrongCode."""
        row = await self._codes.count_attempt(self._ids(purpose, subject), MAX_ATTEMPTS)
        digests = [_code_digest(key, purpose, subject, to, code) for key in self._keys]
        is_correct = row is not None and any(
            hmac.compare_digest(digest, row.digest or "") for digest in digests
        )
        if row is None or not is_correct:
            raise wrong_code()
        return row

    async def spend(self, code: Code) -> None:
        """Make the code unusable. Raises WrongCode if another request has spent or replaced it first."""
        if not await self._codes.spend(code):
            raise wrong_code()

    def _ids(self, purpose: Purpose, subject: str) -> list[str]:
        """Return the ids that the subject's row may have, one for each secret. A new row gets the first."""
        # Not the subject itself: it may be an e-mail address, and MongoDB writes ids into its log.
        return [f"{purpose.value}:{_keyed_digest(key, subject)}" for key in self._keys]

    def _too_soon(self, row: Code | None) -> TooSoon:
        at = self._clock()
        resend_at = at
        if row is not None:
            resend_at = row.sent_at + RESEND_AFTER
            if row.issued >= MAX_PER_DAY:
                resend_at = max(resend_at, row.day_ends)
        seconds = max(1, math.ceil((resend_at - at).total_seconds()))
        return TooSoon(f"Request the next code in {seconds} seconds.", retry_after=seconds)


def wrong_code() -> WrongCode:
    """Return the one error for every reason, so that it does not help an attacker."""
    return WrongCode(
        "The code is wrong or no longer valid. Check it, or request a new one.", field="code"
    )


def _code_digest(key: bytes, purpose: Purpose, subject: str, to: str, code: str) -> str:
    # With a key: without one, the hashes of all six-digit codes can be computed in a second.
    return _keyed_digest(key, "\0".join((f"{purpose.value}:{subject}", to, code)))


def _keyed_digest(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
