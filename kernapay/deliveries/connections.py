"""Keep connections to endpoints open for a moment: opening one costs more than the rest of a request.

A connection was judged, and its certificate verified, when it was opened. It is used again only for the same URL, so
that nobody can answer in another one's place, and not for long, so that a name that leads elsewhere is followed.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, cast
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection

IDLE_SECONDS: Final = 2.0
"""Most servers close what is idle after 5 seconds or more. The one who closes first loses no request."""
LONGEST_SECONDS: Final = 30.0

# The last one if it was noticed while the request was written.
_CLOSED: Final = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientOSError,
    aiohttp.ClientConnectionResetError,
)

Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
Middleware = Callable[[aiohttp.ClientRequest, Handler], Awaitable[aiohttp.ClientResponse]]


class NotUsable(aiohttp.ServerDisconnectedError):
    """A kept connection is too old, or has received unexpected bytes, which would be read as the next answer."""


class Request(aiohttp.ClientRequest):
    """A request that knows whether its connection has carried another one before."""

    is_on_kept = False
    longest = LONGEST_SECONDS
    _opened: Final[WeakKeyDictionary[ResponseHandler, float]] = WeakKeyDictionary()
    """When each connection carried its first request, by the monotonic clock."""

    @property
    def connection_key(self) -> ConnectionKey:
        """Return the key of kept connections that may carry this request. It contains the URL."""
        # There is no proxy, and no other place in it for what else must be the same.
        return super().connection_key._replace(proxy_headers_hash=hash(self.url))

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol = cast(ResponseHandler, conn.protocol)  # it has just been connected
        at = time.monotonic()
        opened = self._opened.get(protocol)
        self.is_on_kept = opened is not None
        if opened is None:
            self._opened[protocol] = at
        elif protocol.should_close or at - opened >= self.longest:
            raise NotUsable
        return await super().send(conn)


def send_again(longest: float) -> Middleware:
    """Return a middleware that sends a request again if a kept connection ended before its answer began.

    The other side may have closed it just before. If it did so after it had read the event, it gets that twice under
    the same id, as after any failure.
    """

    async def send(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        ours = cast(Request, request)
        ours.longest = longest
        while True:
            ours.is_on_kept = False
            try:
                return await handler(request)
            except _CLOSED:
                # Each time, one less is kept.
                if not ours.is_on_kept:
                    raise

    return send
