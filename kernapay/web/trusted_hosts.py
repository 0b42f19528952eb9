"""Answer only requests that name a host of ours, and in a development stack no pages of other sites."""

import re
from collections.abc import Collection
from typing import Any, Final

from litestar import Request
from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.core.errors import Forbidden
from kernapay.web import problems

LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
LOCAL_ORIGIN: Final = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
_AUTHORITY: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE)


class HostNotAllowed(Forbidden):
    """The request names a host that is not ours.

    A page of another site can let its own name point to this machine (DNS rebinding). Its requests name that host.
    """

    code = "host_not_allowed"
    title = "Host not allowed"


class OriginNotAllowed(Forbidden):
    """A page of another site made the request."""

    code = "origin_not_allowed"
    title = "Origin not allowed"


class TrustedHosts:
    """Refuse requests with a foreign `Host`; with `pages`, also those of pages from a foreign origin."""

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], pages: CORSConfig | None = None
    ) -> None:
        self.app = app
        self._hosts = frozenset(hosts)
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and (refusal := self._refusal(scope)) is not None:
            request: Request[Any, Any, Any] = Request(scope, receive, send)
            answer = problems.on_kernapay_error(request, refusal)
            respond = answer.to_asgi_response(app=None, request=request)
            await respond(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Forbidden | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        if name not in self._hosts:
            return HostNotAllowed(
                "The Host header must name this service. Fix: add the name to ALLOWED_HOSTS.",
                field="Host",
            )
        if self._pages is None or not origins:
            return None
        own = (f"http://{hosts[0]}", f"https://{hosts[0]}")
        if len(origins) == 1 and (origins[0] in own or self._pages.is_origin_allowed(origins[0])):
            return None
        return OriginNotAllowed(
            "Pages of this origin may not call the API. Fix: add the origin to CORS_ORIGINS.",
            field="Origin",
        )


def host_name(authority: str) -> str | None:
    """Return the name in a `Host` header, in lower case without the port. None if it is not a valid one."""
    match = _AUTHORITY.fullmatch(authority)
    return match[1].lower() if match else None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
