"""Bearer authentication for every route that is not marked public."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from kernapay.core.errors import Unauthenticated
from kernapay.security.principal import Principal
from kernapay.security.tokens import Claims, TokenIssuer

PUBLIC: Final = "public"
"""The key in a handler's `opt` that marks it public."""

KEY_PREFIX: Final = "kp_"
"""The beginning of every API key. No access token starts with it."""

PrincipalLoader = Callable[[Claims], Awaitable[Principal]]
KeyLoader = Callable[[str], Awaitable[Principal]]


class BearerAuthentication(AbstractAuthenticationMiddleware):
    """Authenticate a request by its access token or API key, against the current state of the account."""

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
            # Litestar's default excludes OPTIONS, and the guards would then find no caller.
            # A browser's preflight is answered before it gets here.
            exclude_http_methods=(),
        )
        self._tokens = tokens
        self._load = load
        self._load_key = load_key

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        headers = connection.headers.getall("authorization", [])
        # Refuse two headers: a proxy in front may have checked the other one.
        scheme, _, token = (headers[0] if len(headers) == 1 else "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send one header Authorization: Bearer <token or API key>.")
        token = token.strip()
        if token.startswith(KEY_PREFIX):
            return AuthenticationResult(user=await self._load_key(token), auth=None)
        return AuthenticationResult(user=await self._load(self._tokens.read(token)), auth=None)
