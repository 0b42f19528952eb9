"""Limits on request bodies: a deadline, no compression, and nothing that breaks off."""

import asyncio
from typing import Any, Final

from litestar.types import Receive

from kernapay.core.errors import InvalidInput, KernaPayError

WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
UNREAD: Final = frozenset({408, 413})
"""Statuses sent before the whole body arrived. The connection closes, or its rest would be read as a request."""


CLOSE: Final = (b"connection", b"close")


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
        self._complete = False

    async def __call__(self) -> Any:
        if self._complete:
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
        self._complete = not message.get("more_body", False)
        return message

    def _refuse_compression(self) -> None:
        # A small compressed body could become a very large one.
        for name, value in self._headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise UnsupportedMediaType(
                    "The body is compressed. Send it uncompressed, without Content-Encoding."
                )
