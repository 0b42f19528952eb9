"""Bearer authentication on every route that does not say it is public."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from kernapay.core.errors import Unauthenticated
from kernapay.security.principal import Principal
from kernapay.security.tokens import Claims, TokenIssuer

PUBLIC: Final = "public"
"""The key of a handler's `opt` that marks it public."""

KEY_PREFIX: Final = "kp_"
"""What API keys start with, and no token does."""

PrincipalLoader = Callable[[Claims], Awaitable[Principal]]
KeyLoader = Callable[[str], Awaitable[Principal]]


class BearerAuthentication(AbstractAuthenticationMiddleware):
    """Read the token or API key, then ask the stores who that is now."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: TokenIssuer,
        load: PrincipalLoader,
        load_key: KeyLoader,
        exclude: str,
    ) -> None:
        super().__init__(
            app,
            exclude=exclude,
            exclude_from_auth_key=PUBLIC,
            # By default none for OPTIONS, whose guards would then find no caller. A browser's
            # preflight is answered before it gets here.
            exclude_http_methods=(),
        )
        self._tokens = tokens
        self._load = load
        self._load_key = load_key

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        sent = connection.headers.getall("authorization", [])
        # Of two, a proxy may have checked the other one.
        scheme, _, token = (sent[0] if len(sent) == 1 else "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
        token = token.strip()
        if token.startswith(KEY_PREFIX):
            return AuthenticationResult(user=await self._load_key(token), auth=None)
        return AuthenticationResult(user=await self._load(self._tokens.read(token)), auth=None)
