"""Access tokens, which are JWTs (RFC 7519), and refresh tokens."""

import hashlib
import hmac
import secrets as random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, NamedTuple, Self

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
_RANDOM_BYTES: Final = 32
_MARK_BYTES: Final = 16
_MARKED_LENGTH: Final = (_RANDOM_BYTES + _MARK_BYTES) * 4 // 3  # of base64, without padding
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

    def issue(
        self,
        user_id: str,
        session_id: str,
        expires_at: datetime,
        more_claims: Mapping[str, str] | None = None,
    ) -> str:
        """Return a token for the session. `expires_at` is the token's expiry. `more_claims` are never read here."""
        token: str = jwt.encode(
            {
                **(more_claims or {}),
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
    """Create refresh tokens, `{session id}.{256 bits and a mark}`. Only their SHA-256 is stored.

    The mark is made with a key of ours. It tells a token that was once ours from one that somebody made up around a
    session id, which is no secret: it stands in every access token.

    The next token is derived from the one before with a key of ours. A client that repeats a refresh because the
    answer was lost therefore gets the same token again, although it is stored nowhere.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = tuple(_RefreshKeys.of(secret) for secret in secrets)

    def create(self, session_id: str) -> str:
        """Return the first token of a session."""
        return self._keys[0].mark(session_id, random.token_bytes(_RANDOM_BYTES))

    def derive_next(self, token: str) -> str:
        """Return the token that replaces this one."""
        return self._keys[0].mark(self.session_id_of(token), self._keys[0].derive(token))

    def find_next(self, token: str, fingerprint: str) -> str | None:
        """Return the token that replaces this one, if it has the fingerprint under any secret still accepted."""
        session_id = self.session_id_of(token)
        for keys in self._keys:
            derived = keys.derive(token)
            # Without a mark, if a process of an earlier version derived it.
            for next_token in (keys.mark(session_id, derived), f"{session_id}.{_encode(derived)}"):
                if self.fingerprint(next_token) == fingerprint:
                    return next_token
        return None

    def is_ours(self, token: str) -> bool:
        """Return whether the token was issued under a secret still accepted, by its mark.

        Tokens of earlier versions have no mark.
        """
        session_id, _, text = token.partition(".")
        if len(text) != _MARKED_LENGTH:
            return False
        try:
            issued_bytes = urlsafe_b64decode(text)[:_RANDOM_BYTES]
        except ValueError:
            return False
        return any(
            hmac.compare_digest(keys.mark(session_id, issued_bytes).encode(), token.encode())
            for keys in self._keys
        )

    @staticmethod
    def session_id_of(token: str) -> str:
        return token.partition(".")[0]

    @staticmethod
    def fingerprint(token: str) -> str:
        """Return the token's SHA-256, which is what is stored."""
        return hashlib.sha256(token.encode()).hexdigest()


class _RefreshKeys(NamedTuple):
    """The keys that one secret gives refresh tokens."""

    derivation: bytes
    marks: bytes

    @classmethod
    def of(cls, secret: str) -> Self:
        return cls(derive_key(secret, "refresh-token"), derive_key(secret, "refresh-token-mark"))

    def derive(self, token: str) -> bytes:
        return hmac.digest(self.derivation, token.encode(), hashlib.sha256)

    def mark(self, session_id: str, issued_bytes: bytes) -> str:
        """Return the token with these bytes, and with the mark that they are ours."""
        message = session_id.encode() + b"." + issued_bytes
        mark = hmac.digest(self.marks, message, hashlib.sha256)[:_MARK_BYTES]
        return f"{session_id}.{_encode(issued_bytes + mark)}"


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
