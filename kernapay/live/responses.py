"""The answer that is a stream. An idle one waits on one future, so that thousands of them are cheap."""

import asyncio
from typing import Any, Final

from litestar import Response
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.live import messages
from kernapay.live.dtos import LiveEvent, LivePayment
from kernapay.live.metrics import ENDED
from kernapay.live.service import LiveService, Viewer
from kernapay.live.watches import Ending
from kernapay.web.long_answers import GOES_ON
from kernapay.web.slow_readers import ReaderTooSlow

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx would hold back what is small.
    (b"x-accel-buffering", b"no"),
)


class EventStream(Response[LiveEvent]):
    """A stream of a payment's changes. If there is nothing to send, now or later, the answer is 204."""

    def __init__(
        self, live: LiveService, row: LivePayment, viewer: Viewer, last_event_id: str | None
    ) -> None:
        self.content = None  # type: ignore[assignment]
        self._live = live
        self._row = row
        self._viewer = viewer
        self._last_event_id = last_event_id

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        return self._answer

    async def _answer(self, scope: Scope, _: Receive, send: Send) -> None:
        row, sight = self._row, self._viewer.sight
        known = messages.index_of(self._last_event_id, row)
        if row.is_over and known is not None and not messages.news(row, known, sight):
            # Browsers do not connect again after a 204.
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        # From here on, it is closed by whoever goes on with it.
        scope["state"][GOES_ON] = _Following(self._live, self._viewer, row, known)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await _send(send, messages.RETRY)


class _Following:
    """The events of one stream, which counts as open until `close`."""

    __slots__ = ("_asked", "_known", "_live", "_receive", "_row", "_viewer", "_watch")

    def __init__(
        self, live: LiveService, viewer: Viewer, row: LivePayment, known: int | None
    ) -> None:
        """Count the stream and watch the payment. `known` is the last step that the client has.

        Raises TooManyStreams.
        """
        live.stream_limits.take(viewer.client)
        self._live = live
        self._viewer = viewer
        self._watch = live.watcher.watch(row)
        self._known = known
        # What is still to be shown.
        self._row: LivePayment | None = row
        self._asked: asyncio.Future[Any] | None = None

    async def go_on(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._ask()
        try:
            await self._begin(send)
            while self._watch.ending is not Ending.GONE:
                await self._watch.wait()
                await self._tell(send)
                if self._watch.ending is not None:
                    return
        except ReaderTooSlow:
            self._watch.end(Ending.TOO_SLOW)
            raise

    def close(self) -> None:
        ENDED.labels(self._watch.ending or Ending.GONE).inc()
        self._live.watcher.leave(self._watch)
        self._live.stream_limits.leave(self._viewer.client)
        if self._asked is not None:
            self._asked.remove_done_callback(self._note_message)
            self._asked.cancel()

    async def _begin(self, send: Send) -> None:
        row, self._row = self._row, None
        if row is not None and (body := self._news(row)):
            await _send(send, body)

    async def _tell(self, send: Send) -> None:
        watch = self._watch
        newest, is_beat_due = watch.take()
        row = self._row = newest or self._row
        if watch.ending is Ending.GONE:
            return
        if row or is_beat_due:
            may_stay = await self._live.may_stay(self._viewer)
            if may_stay is None:
                row = None  # the next heartbeat asks again
            elif not may_stay:
                row, is_beat_due = None, False
                watch.end(Ending.ACCESS)
        body = messages.HEARTBEAT if is_beat_due else b""
        if row is not None:
            self._row = None
            body = self._news(row)
        if watch.ending is not None:
            await _send(send, body + messages.end(watch.ending), more=False)
        elif body:
            await _send(send, body)

    def _news(self, row: LivePayment) -> bytes:
        body = messages.news(row, self._known, self._viewer.sight)
        self._known = len(row.history) - 1
        if row.is_over:
            self._watch.end(Ending.FINAL)
        return body

    def _ask(self) -> None:
        # Nobody else would notice that the client of an idle stream goes away. The server's own `receive` returns a
        # future; a task is made only of what is none.
        self._asked = asyncio.ensure_future(self._receive())
        self._asked.add_done_callback(self._note_message)

    def _note_message(self, message: "asyncio.Future[Any]") -> None:
        if message.cancelled() or message.exception() or message.result()["type"] != "http.request":
            self._watch.end(Ending.GONE)
        else:
            self._ask()


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
