"""The cookie of the operators' pages, and when it counts.

A browser sends cookies by itself, also for pages of others. So the cookie counts only where three things that do not
depend on each other say that our own page asks: the cookie's SameSite, a header that no other page can set without a
preflight, which CORS refuses, and what the browser says of the asking page.
"""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import Forbidden

# The prefix makes browsers refuse it unless it is Secure, for this host alone and for every path.
CONSOLE_COOKIE: Final = "__Host-kp_console"
CONSOLE_HEADER: Final = "X-KernaPay-Console"
BACKGROUND_HEADER: Final = "X-KernaPay-Background"

Connection = ASGIConnection[Any, Any, Any, Any]


def read_console_cookie(connection: Connection) -> str | None:
    """Return the token in the console's cookie, None unless a page of ours sent it."""
    if not (connection.headers.getall(CONSOLE_HEADER, []) == ["1"] and _is_same_origin(connection)):
        return None
    return connection.cookies.get(CONSOLE_COOKIE) or None


def is_background(connection: Connection) -> bool:
    """Return whether the page asks on its own, without its user: that must not keep the session alive."""
    return bool(connection.headers.getall(BACKGROUND_HEADER, []) == ["1"])


class FromNoOtherPage:
    """Refuse browsers that say that a page of somebody else asks. Other clients say nothing."""

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        sites = connection.headers.getall("sec-fetch-site", [])
        if any(site not in ("same-origin", "none") for site in sites):
            raise Forbidden("Only the console's own page may do this.")


def _is_same_origin(connection: Connection) -> bool:
    sites = connection.headers.getall("sec-fetch-site", [])
    if sites:
        return sites == ["same-origin"]
    origins = connection.headers.getall("origin", [])
    host = connection.headers.get("host")
    if len(origins) != 1 or not host:
        return False
    # Behind a proxy that ends TLS, only the host is known here.
    scheme, separator, place = origins[0].lower().partition("://")
    return scheme in ("http", "https") and bool(separator) and place == host.lower()
