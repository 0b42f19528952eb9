"""Access tokens, which are JWTs (RFC 7519), and refresh tokens."""

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
# Required, because python-jose does not check a claim that is absent.
_OPTIONS: Final = {
    "require_aud": True,
    "require_iss": True,
    "require_sub": True,
    "require_iat": True,
    # `Claims` requires `exp`, and `read` checks it on every use by our clock. With `require_exp`, python-jose
    # would check it too, by its own clock.
    "verify_exp": False,
}
_CACHE_SIZE: Final = 10_000
_MAX_LENGTH: Final = 2048
_INVALID: Final = "The token is not valid. Sign in to get a new one."


class Claims(msgspec.Struct, frozen=True):
    """The claims of an access token: user id, session id, expiry and time of issue (both in Unix seconds)."""

    sub: Annotated[str, msgspec.Meta(pattern=OBJECT_ID_PATTERN)]
    sid: str
    exp: int
    iat: int


class TokenIssuer:
    """Issue and read access tokens.

    Sign with the first secret and accept all of them, so that secrets can be rotated.
    """

    def __init__(self, secrets: Sequence[str], lifetime: timedelta, clock: Clock = now) -> None:
        self._secrets = tuple(secrets)
        self.lifetime = lifetime
        self._clock = clock
        # Cache only that a signature is valid. Sessions are looked up for each request, and a token that is
        # not ours raises, which caches nothing.
        self._verify_cached = lru_cache(_CACHE_SIZE)(self._verify)

    def issue(self, user_id: str, session_id: str, expires_at: datetime) -> str:
        """Return a token for the session. `expires_at` is the token's expiry."""
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
        """Return the claims of a token. Raises Unauthenticated unless it is ours, unchanged and unexpired."""
        if len(token) > _MAX_LENGTH:
            raise Unauthenticated(_INVALID)
        claims = self._verify_cached(token)
        if claims.exp <= self._clock().timestamp():
            raise Unauthenticated("The token has expired. Refresh it or sign in again.")
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
            # python-jose lets errors of its parsers through for some malformed input.
            except (JOSEError, ValueError, OverflowError, TypeError, AttributeError):
                continue
        raise Unauthenticated(_INVALID)


class RefreshTokens:
    """Create refresh tokens, `{session id}.{256 bits}`. Only their SHA-256 is stored.

    The next token is derived from the one before with a key of ours. A client that repeats a refresh because the
    answer was lost therefore gets the same token again, although it is stored nowhere.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = tuple(derive_key(secret, "refresh-token") for secret in secrets)

    def create(self, session_id: str) -> str:
        """Return the first token of a session."""
        return f"{session_id}.{random.token_urlsafe(32)}"

    def derive_next(self, token: str) -> str:
        """Return the token that replaces this one."""
        return self._derive(token, self._keys[0])

    def find_next(self, token: str, fingerprint: str) -> str | None:
        """Return the token that replaces this one, if it has the fingerprint under any secret still accepted."""
        for key in self._keys:
            if self.fingerprint(next_token := self._derive(token, key)) == fingerprint:
                return next_token
        return None

    @staticmethod
    def session_id_of(token: str) -> str:
        return token.partition(".")[0]

    @staticmethod
    def fingerprint(token: str) -> str:
        """Return the token's SHA-256, which is what is stored."""
        return hashlib.sha256(token.encode()).hexdigest()

    def _derive(self, token: str, key: bytes) -> str:
        digest = hmac.digest(key, token.encode(), hashlib.sha256)
        return f"{self.session_id_of(token)}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"
