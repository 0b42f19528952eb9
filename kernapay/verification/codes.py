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
        # The present secret's, and the previous one's while it is changed.
        self._keys = tuple(derive_key(secret, "one-time codes") for secret in jwt_secrets)
        self._clock = clock

    async def issue(self, purpose: Purpose, subject: str, to: str) -> Issued:
        """Make the subject's new code; the one before is void. Raises TooSoon."""
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
        ids = self._ids(purpose, subject)
        digest = _digest(self._keys[0], purpose, subject, to, code)
        row = await self._codes.put(ids, digest, lifetime=LIFETIME, wait=WAIT, a_day=A_DAY)
        if row is None:
            raise self._too_soon(await self._codes.find(ids))
        return Issued(code, row.expires_at, row.sent_at + WAIT)

    async def redeem(self, purpose: Purpose, subject: str, to: str, code: str) -> None:
        """Spend the subject's code. Raises WrongCode, whatever is wrong with it."""
        await self.spend(await self.check(purpose, subject, to, code))

    async def check(self, purpose: Purpose, subject: str, to: str, code: str) -> Code:
        """Give the subject's code, to be spent; this was one of its attempts. Raises WrongCode."""
        row = await self._codes.try_once(self._ids(purpose, subject), ATTEMPTS)
        digests = [_digest(key, purpose, subject, to, code) for key in self._keys]
        fits = row is not None and any(
            hmac.compare_digest(digest, row.digest or "") for digest in digests
        )
        if row is None or not fits:
            raise _wrong()
        return row

    async def spend(self, code: Code) -> None:
        """Use the code up. Raises WrongCode when another request was faster."""
        if not await self._codes.use(code):
            raise _wrong()

    def _ids(self, purpose: Purpose, subject: str) -> list[str]:
        """Give the ids that the subject's row may have, one for each secret; a new row gets the first."""
        # The subject may be an e-mail address, and the database writes ids into its own log.
        return [f"{purpose.value}:{_keyed(key, subject)}" for key in self._keys]

    def _too_soon(self, row: Code | None) -> TooSoon:
        at = self._clock()
        until = at
        if row is not None:
            until = row.sent_at + WAIT
            if row.issued >= A_DAY:
                until = max(until, row.day_ends)
        seconds = max(1, math.ceil((until - at).total_seconds()))
        return TooSoon(f"Ask for the next code in {seconds} s.", retry_after=seconds)


def _wrong() -> WrongCode:
    return WrongCode(
        "The code is wrong or no longer valid: check it, or ask for a new one.", field="code"
    )


def _digest(key: bytes, purpose: Purpose, subject: str, to: str, code: str) -> str:
    # A plain hash of six digits is undone in a second; without the key this one is not.
    return _keyed(key, "\0".join((f"{purpose.value}:{subject}", to, code)))


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
