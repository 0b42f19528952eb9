"""Authentication for every route that is not marked public: by a bearer's token, or by the console's cookie."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from litestar.connection import ASGIConnection
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.core.errors import Unauthenticated
from kernapay.security.console import is_background, read_console_cookie
from kernapay.security.principal import Principal
from kernapay.security.tokens import Claims, TokenIssuer
from kernapay.storage.cached import NO_ENTRIES, Entries
from kernapay.storage.redis import Address

PUBLIC: Final = "public"
"""The key in a handler's `opt` that marks it public."""

OPTIONAL: Final = "optional_caller"
"""The key in a handler's `opt` that lets in callers who send no `Authorization`, as nobody."""

KEY_PREFIX: Final = "kp_"
"""The beginning of every API key. No access token starts with it."""

_SEND_ONE: Final = "Send one header Authorization: Bearer <token or API key>."

READ_AHEAD: Final = "read_ahead"
"""The key in a handler's `opt` for an AddressOf: the cached value that its answer is, read with the session."""

AddressOf = Callable[[Scope], Address | None]
"""Returns the place of the value that a request asks for, or None. The request is not checked yet."""

PrincipalLoader = Callable[[Claims, Address | None], Awaitable[tuple[Principal, Entries]]]
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
        return (await self.with_entry(token, None))[0]

    # No coroutine of its own: it returns the one that loads the session.
    def with_entry(
        self, token: str, address: Address | None
    ) -> Awaitable[tuple[Principal, Entries]]:
        """Return the holder, and what of the cache was read with the session, at best what is at the address.

        Raises Unauthenticated, Unavailable.
        """
        if token.startswith(KEY_PREFIX):
            return self._of_key(token)
        return self._load(self._tokens.read(token), address)

    async def _of_key(self, token: str) -> tuple[Principal, Entries]:
        return await self._load_key(token), NO_ENTRIES

    async def of_console(self, token: str, *, is_use: bool) -> Principal:
        """Return the holder of the console's cookie. Raises Unauthenticated, Unavailable."""
        return await self._load_console(self._tokens.read(token), is_use=is_use)


def read_token(scope: Scope) -> str | None:
    """Return the token or key of a request, None if it has no `Authorization`. Raises Unauthenticated."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        return None
    # Refuse two headers: a proxy in front may have checked the other one.
    scheme, _, token = (given[0].decode("latin-1") if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(_SEND_ONE)
    return token.strip()


async def find_caller(scope: Scope, authenticate: Authenticator, right: str) -> Principal | None:
    """Return who calls a public route. Return None without a token, and for an API key whose scopes lack `right`.

    Raises Unauthenticated, Unavailable.
    """
    token = read_token(scope)
    caller = None if token is None else await authenticate(token)
    return caller if caller and (caller.scopes is None or right in caller.scopes) else None


class BearerAuthentication:
    """Middleware that authenticates a request by its access token or API key, or by the console's cookie.

    Litestar's own makes an object of the connection and another of the result, and searches the path of each request.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticator, exclude: str) -> None:
        """Paths that begin with `exclude` are public, as are handlers that are marked so."""
        self.app = app
        self._authenticate = authenticate
        self._exclude = exclude

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        opt = scope["route_handler"].opt
        caller: tuple[Principal | None, Entries]
        if not opt.get(PUBLIC) and not scope["path"].startswith(self._exclude):
            token = read_token(scope)
            if token is not None:
                address_of: AddressOf | None = opt.get(READ_AHEAD)
                address = address_of and address_of(scope)
                caller = await self._authenticate.with_entry(token, address)
            elif opt.get(OPTIONAL):
                # A stream asks again and again whether its token still counts. The cookie has no place there.
                caller = None, NO_ENTRIES
            else:
                caller = await self._find_in_cookie(scope)
            scope["user"], scope["auth"] = caller
        await self.app(scope, receive, send)

    async def _find_in_cookie(self, scope: Scope) -> tuple[Principal, Entries]:
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        cookie = read_console_cookie(connection)
        if cookie is None:
            raise Unauthenticated(_SEND_ONE)
        is_use = not is_background(connection)
        return await self._authenticate.of_console(cookie, is_use=is_use), NO_ENTRIES
