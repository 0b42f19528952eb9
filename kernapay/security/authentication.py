"""Authentication for every route that is not marked public: by a bearer's token, or by the console's cookie."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from kernapay.core.errors import Unauthenticated
from kernapay.security.console import is_background, read_console_cookie
from kernapay.security.principal import Principal
from kernapay.security.tokens import Claims, TokenIssuer

PUBLIC: Final = "public"
"""The key in a handler's `opt` that marks it public."""

OPTIONAL: Final = "optional_caller"
"""The key in a handler's `opt` that lets in callers who send no `Authorization`, as nobody."""

KEY_PREFIX: Final = "kp_"
"""The beginning of every API key. No access token starts with it."""

_SEND_ONE: Final = "Send one header Authorization: Bearer <token or API key>."

PrincipalLoader = Callable[[Claims], Awaitable[Principal]]
KeyLoader = Callable[[str], Awaitable[Principal]]


class ConsoleLoader(Protocol):
    """Loads the holder of the console's cookie. Only what `is_use` keeps the session alive."""

    async def __call__(self, claims: Claims, *, is_use: bool) -> Principal: ...


class Authenticator:
    """Finds out who holds an access token or an API key, from the present state of the account."""

    def __init__(
        self,
        tokens: TokenIssuer,
        load: PrincipalLoader,
        load_key: KeyLoader,
        load_console: ConsoleLoader,
    ) -> None:
        self._tokens = tokens
        self._load = load
        self._load_key = load_key
        self._load_console = load_console

    async def __call__(self, token: str) -> Principal:
        """Return the holder. Raises Unauthenticated, Unavailable."""
        if token.startswith(KEY_PREFIX):
            return await self._load_key(token)
        return await self._load(self._tokens.read(token))

    async def of_console(self, token: str, *, is_use: bool) -> Principal:
        """Return the holder of the console's cookie. Raises Unauthenticated, Unavailable."""
        return await self._load_console(self._tokens.read(token), is_use=is_use)


def read_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return the token or key of a request, None if it has no `Authorization`. Raises Unauthenticated."""
    given = [value for name, value in connection.scope["headers"] if name == b"authorization"]
    if not given:
        return None
    # Refuse two headers: a proxy in front may have checked the other one.
    scheme, _, token = (given[0].decode("latin-1") if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(_SEND_ONE)
    return token.strip()


class BearerAuthentication(AbstractAuthenticationMiddleware):
    """Authenticate a request by its access token or API key, or by the console's cookie."""

    def __init__(self, app: ASGIApp, authenticate: Authenticator, exclude: str) -> None:
        super().__init__(
            app,
            exclude=exclude,
            exclude_from_auth_key=PUBLIC,
            # Litestar's default excludes OPTIONS, and the guards would then find no caller.
            # A browser's preflight is answered before it gets here.
            exclude_http_methods=(),
        )
        self._authenticate = authenticate

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        token = read_token(connection)
        if token is None:
            # A stream asks again and again whether its token still counts. The cookie has no place there.
            if connection.scope["route_handler"].opt.get(OPTIONAL):
                return AuthenticationResult(user=None, auth=None)
            cookie = read_console_cookie(connection)
            if cookie is not None:
                is_use = not is_background(connection)
                caller = await self._authenticate.of_console(cookie, is_use=is_use)
                return AuthenticationResult(user=caller, auth=None)
            raise Unauthenticated(_SEND_ONE)
        return AuthenticationResult(user=await self._authenticate(token), auth=None)
