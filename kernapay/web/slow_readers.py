"""A deadline for clients that take an answer slowly."""

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from typing import Final

import structlog
from litestar.types import HTTPResponseBodyEvent, Message, Send

_log = structlog.get_logger("kernapay.http")
# The server takes the next piece when the one before is on its way. Of a larger one it would keep all in memory.
_PIECE: Final = 65_536


class ReaderTooSlow(Exception):
    """The client did not take the answer in time. The connection is cut."""


class NotTooSlow(logging.Filter):
    """Keep the server's messages about connections that were cut for slowness out of its error log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], ReaderTooSlow))


class TimedSend:
    """An ASGI `send` that raises ReaderTooSlow unless the client takes each 64 kB within `seconds`.

    It affects answers of several pieces only: the server takes a small one whole, without waiting for the client.
    """

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._has_begun = False
        self.is_too_late = False

    def __call__(self, message: Message) -> Awaitable[None]:
        # Every answer comes here twice.
        if message["type"] != "http.response.body" or (
            not self._has_begun
            and not message.get("more_body", False)
            and len(message.get("body", b"")) <= _PIECE
        ):
            return self._send(message)
        return self._send_pieces(message)

    async def _send_pieces(self, message: HTTPResponseBodyEvent) -> None:
        self._has_begun = True
        for piece in _split(message):
            try:
                async with asyncio.timeout(self._seconds):
                    await self._send(piece)
            except TimeoutError:
                self.is_too_late = True
                _log.info("reader_too_slow", seconds=self._seconds)
                raise ReaderTooSlow from None


def _split(message: HTTPResponseBodyEvent) -> Iterator[HTTPResponseBodyEvent]:
    body = message.get("body", b"")
    more = message.get("more_body", False)
    starts = range(0, len(body), _PIECE) or (0,)
    for start in starts:
        is_last = start == starts[-1]
        yield {
            "type": "http.response.body",
            "body": body[start : start + _PIECE],
            "more_body": more or not is_last,
        }
