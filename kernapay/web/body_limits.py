"""Request bodies: in time, and not compressed."""

import asyncio
from typing import Any, Final

from litestar.types import Receive

from kernapay.core.errors import KernaPayError

WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
UNREAD: Final = frozenset({408, 413})
"""Answers that come before the body does: its rest must not be taken for the next request."""


class BodyTooSlow(KernaPayError):
    """The body did not arrive in time."""

    code = "request_timeout"
    title = "Request Timeout"


class CompressedBody(KernaPayError):
    """Bodies are taken uncompressed only: a small one must not become a large one in here."""

    code = "unsupported_media_type"
    title = "Unsupported Media Type"


class TimedBody:
    """Receives like the server's `receive`, but the whole body within so many seconds of the first ask."""

    def __init__(self, scope: Any, receive: Receive, seconds: float) -> None:
        self._headers = scope["headers"]
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
            raise BodyTooSlow("The body did not arrive in time.") from None
        self._complete = not message.get("more_body", False)
        return message

    def _refuse_compression(self) -> None:
        for name, value in self._headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise CompressedBody("Send the body without Content-Encoding.")
