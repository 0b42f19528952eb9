"""Show and control the sandbox for its developer only: neither for rebound names nor for pages of other sites."""

import re
from collections.abc import Collection
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler

from kernapay.sandbox.errors import ControlError

OPEN: Final[dict[str, Any]] = {"open": True}
"""The `opt` of handlers that answer everybody: Razorpay's API, which asks for a key, and Checkout."""
LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_AUTHORITY: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE)


class OnlyTrustedHosts:
    """Guard every handler that is not open.

    A page of another site can let its own name point to this machine (DNS rebinding); its requests name that host.
    Without rebinding, browsers name its origin in requests that change something or that the page wants to read.
    """

    def __init__(self, more_hosts: Collection[str]) -> None:
        self._more_hosts = frozenset(more_hosts)

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        scope: Any = connection.scope
        # The answer to OPTIONS, which Litestar makes for each path, is the list of methods.
        if handler.opt.items() >= OPEN.items() or scope["method"] == HttpMethod.OPTIONS:
            return
        headers = connection.headers
        hosts, origins = headers.getall("host", []), headers.getall("origin", [])
        if len(hosts) != 1 or host_name(hosts[0]) not in LOCAL_HOSTS | self._more_hosts:
            raise ControlError(
                "The sandbox answers only requests to localhost, 127.0.0.1 or [::1]. "
                "Fix: add the name of this host to SANDBOX_ALLOWED_HOSTS.",
                403,
                field="Host",
            )
        if origins:
            is_trusted = len(origins) == 1 and self._is_trusted(origins[0], hosts[0])
        else:
            # Images, scripts and frames of other sites name no origin. Links may be followed.
            is_trusted = (
                headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
                or headers.get("sec-fetch-mode") == "navigate"
            )
        if not is_trusted:
            raise ControlError(
                "Only the sandbox's own page may do this. Fix: for pages of another host, add its name to "
                "SANDBOX_ALLOWED_HOSTS.",
                403,
                field="Origin",
            )

    def _is_trusted(self, origin: str, host: str) -> bool:
        scheme, _, authority = origin.partition("://")
        is_own = authority.lower() == host.lower()
        return scheme in {"http", "https"} and (is_own or host_name(authority) in self._more_hosts)


def host_name(authority: str) -> str | None:
    """Return the name in a `Host` header, in lower case without the port. None if it is not a valid one."""
    match = _AUTHORITY.fullmatch(authority)
    return match[1].lower() if match else None
