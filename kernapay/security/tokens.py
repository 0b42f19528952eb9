"""Access tokens: JWT by python-jose, with every check switched on. Refresh tokens: random, and derived from random."""

import hashlib
import hmac
import secrets as random
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from jose import jwt
from jose.exceptions import JOSEError

from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unauthenticated
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.keys import derive_key

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "kernapay"
_AUDIENCE: Final = "kernapay-api"
# python-jose checks the audience only when told that it must be there.
_OPTIONS: Final = {
    "require_aud": True,
    "require_iss": True,
    "require_sub": True,
    "require_iat": True,
    # Claims demands it, and it is checked on every use: the signature check is remembered. Were it required
    # here, python-jose would check it as well, by its own clock.
    "verify_exp": False,
}
_REMEMBERED: Final = 10_000
_MAX_LENGTH: Final = 2048


class Claims(msgspec.Struct, frozen=True):
    """What a token says: whose it is, of which session, until when (Unix seconds)."""

    sub: Annotated[str, msgspec.Meta(pattern=OBJECT_ID_PATTERN)]
    sid: str
    exp: int
    iat: int


class TokenIssuer:
    """Sign with the first secret; accept any, so that secrets can be rotated."""

    def __init__(self, secrets: Sequence[str], lifetime: timedelta, clock: Clock = now) -> None:
        self._secrets = tuple(secrets)
        self.lifetime = lifetime
        self._clock = clock
        # Remembers that a signature is good, never that a session is; and nothing of tokens that are not ours.
        self._verified = lru_cache(_REMEMBERED)(self._verify)

    def issue(self, user_id: str, session_id: str, expires_at: datetime) -> str:
        """Make a token for a session that ends at `expires_at`."""
        token: str = jwt.encode(
            {
                "iss": _ISSUER,
                "aud": _AUDIENCE,
                "sub": user_id,
                "sid": session_id,
                "iat": int(self._clock().timestamp()),
                "exp": int(expires_at.timestamp()),
            },
            self._secrets[0],
            algorithm=_ALGORITHM,
        )
        return token

    def read(self, token: str) -> Claims:
        """Raises Unauthenticated unless the token is ours, whole and unexpired."""
        if len(token) > _MAX_LENGTH:
            raise Unauthenticated("The token is not valid.")
        claims = self._verified(token)
        if claims.exp <= self._clock().timestamp():
            raise Unauthenticated("The token has expired.")
        return claims

    def _verify(self, token: str) -> Claims:
        for secret in self._secrets:
            try:
                payload = jwt.decode(
                    token,
                    secret,
                    algorithms=[_ALGORITHM],
                    audience=_AUDIENCE,
                    issuer=_ISSUER,
                    options=_OPTIONS,
                )
                return msgspec.convert(payload, Claims)
            # python-jose lets some malformed input through as plain errors of its parsers.
            except (JOSEError, ValueError, OverflowError, TypeError, AttributeError):
                continue
        raise Unauthenticated("The token is not valid.")


class RefreshTokens:
    """Make `{session}.{256 bits}`. Only fingerprints of them are stored.

    The next token is derived from the one before under a key of ours: whoever repeats a refresh whose answer was lost
    gets the same token again, though nobody kept it.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = tuple(derive_key(secret, "refresh-token") for secret in secrets)

    def first(self, session_id: str) -> str:
        return f"{session_id}.{random.token_urlsafe(32)}"

    def next(self, token: str) -> str:
        return self._next(token, self._keys[0])

    def next_of(self, token: str, fingerprint: str) -> str | None:
        """Give the token with this fingerprint if it is what follows, under any secret still accepted."""
        for key in self._keys:
            if self.fingerprint(successor := self._next(token, key)) == fingerprint:
                return successor
        return None

    @staticmethod
    def session_of(token: str) -> str:
        return token.partition(".")[0]

    @staticmethod
    def fingerprint(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    def _next(self, token: str, key: bytes) -> str:
        derived = hmac.digest(key, token.encode(), hashlib.sha256)
        return f"{self.session_of(token)}.{urlsafe_b64encode(derived).rstrip(b'=').decode()}"
