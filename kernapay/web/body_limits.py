"""Limits on request bodies: a deadline, no compression, and no incomplete bodies."""

import asyncio
from typing import Any, Final

from litestar.types import Receive

from kernapay.core.errors import InvalidInput, KernaPayError

WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
UNREAD: Final = frozenset({408, 413})
"""Statuses sent before the whole body arrived. The connection closes, or its rest would be read as a request."""

CLOSE: Final = (b"connection", b"close")
_REST_SECONDS: Final = 0.1
_REST_BYTES: Final = 64 * 1024


class BodyTooSlow(KernaPayError):
    """The body did not arrive in time."""

    code = "request_timeout"
    title = "Request Timeout"


class UnsupportedMediaType(KernaPayError):
    """The body is not JSON, or it is compressed."""

    code = "unsupported_media_type"
    title = "Unsupported Media Type"


class BrokenBody(InvalidInput):
    """The body ended early, or its chunks are not what RFC 9112 describes."""

    code = "broken_body"


class TimedBody:
    """An ASGI `receive` that raises BodyTooSlow unless the body is complete `seconds` after the first call.

    It raises BrokenBody when the body cannot be read to its end.
    """

    def __init__(self, scope: Any, receive: Receive, seconds: float) -> None:
        self._headers = scope["headers"]
        self._state = scope["state"]
        self._receive = receive
        self._seconds = seconds
        self._deadline: float | None = None
        self.is_complete = not _announces_body(self._headers)

    async def __call__(self) -> Any:
        if self.is_complete:
            return await self._receive()
        if self._deadline is None:
            self._refuse_compression()
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow(
                f"The body did not arrive within {self._seconds:g} seconds. Send it faster, or a smaller one."
            ) from None
        if message["type"] == "http.disconnect":
            # The server says the same of a client that has gone and of one that sent no valid chunk.
            # Nothing after it on this connection is a request.
            self._state["headers"] = (*self._state.get("headers", ()), CLOSE)
            raise BrokenBody(
                "The body ended before it was complete, or is not chunked correctly. Send all of it."
            )
        self.is_complete = not message.get("more_body", False)
        return message

    async def read_rest(self) -> None:
        """Read the rest of the body, if it is small and comes at once.

        Many clients send the head first. A server that answers between the two closes the connection, often too late
        to say so, and the client's next request fails on it.
        """
        left = _REST_BYTES
        try:
            async with asyncio.timeout(_REST_SECONDS):
                while not self.is_complete and left > 0:
                    message: Any = await self._receive()
                    if message["type"] == "http.disconnect":
                        return
                    left -= len(message.get("body", b""))
                    self.is_complete = not message.get("more_body", False)
        except TimeoutError:
            return

    def _refuse_compression(self) -> None:
        # A small compressed body could become a very large one.
        for name, value in self._headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise UnsupportedMediaType(
                    "The body is compressed. Send it uncompressed, without Content-Encoding."
                )


def _announces_body(headers: Any) -> bool:
    """Return whether a body follows: RFC 9112, section 6.3."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )
