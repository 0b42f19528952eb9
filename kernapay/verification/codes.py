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
WAIT: Final = timedelta(seconds=60)
ATTEMPTS: Final = 5
# With the attempts this bounds a patient guesser to 50 of a million a day, and what a text flood can cost.
A_DAY: Final = 10


class WrongCode(InvalidInput):
    """The code is wrong, used or expired, or was guessed at too often."""

    code = "wrong_code"
    title = "Wrong code"


class TooSoon(TooManyRequests):
    """A code was sent a moment ago, or too many were in a day; `Retry-After` says when the next may be."""

    code = "code_too_soon"


class Issued(NamedTuple):
    code: str
    expires_at: datetime
    resend_at: datetime


class Codes:
    """Issue and redeem. A code fits only its purpose, its subject and the address it was sent to."""

    def __init__(
        self, codes: CodeRepository, jwt_secrets: Sequence[str], clock: Clock = now
    ) -> None:
        self._codes = codes
        self._keys = tuple(derive_key(secret, "one-time codes") for secret in jwt_secrets)
        self._clock = clock

    async def issue(self, purpose: Purpose, subject: str, to: str) -> Issued:
        """Make the subject's new code; the one before is void. Raises TooSoon."""
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
        key = _key(purpose, subject)
        digest = _digest(self._keys[0], key, to, code)
        row = await self._codes.put(key, digest, lifetime=LIFETIME, wait=WAIT, a_day=A_DAY)
        if row is None:
            raise self._too_soon(await self._codes.get_one_or_none(id=key))
        return Issued(code, row.expires_at, row.sent_at + WAIT)

    async def redeem(self, purpose: Purpose, subject: str, to: str, code: str) -> None:
        """Spend the subject's code. Raises WrongCode, whatever is wrong with it."""
        key = _key(purpose, subject)
        row = await self._codes.try_once(key, ATTEMPTS)
        digests = [_digest(each, key, to, code) for each in self._keys]
        fits = row is not None and any(
            hmac.compare_digest(digest, row.digest or "") for digest in digests
        )
        if row is None or not fits or not await self._codes.use(row):
            raise WrongCode(
                "The code is wrong or no longer valid: check it, or ask for a new one.",
                field="code",
            )

    def _too_soon(self, row: Code | None) -> TooSoon:
        at = self._clock()
        until = at
        if row is not None:
            until = row.sent_at + WAIT
            if row.issued >= A_DAY:
                until = max(until, row.day_ends)
        seconds = max(1, math.ceil((until - at).total_seconds()))
        return TooSoon(f"Ask for the next code in {seconds} s.", retry_after=seconds)


def _key(purpose: Purpose, subject: str) -> str:
    return f"{purpose.value}:{subject}"


def _digest(key: bytes, subject: str, to: str, code: str) -> str:
    # A plain hash of six digits is undone in a second; without the key this one is not.
    text = "\0".join((subject, to, code))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
