"""Send the requests of one event loop turn as one batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from kernapay.core.errors import Unavailable
from kernapay.core.metrics import Counter, Tally

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

_BATCHES: Final = Tally(
    Counter("kernapay_batches_total", "Batches that were sent, by kind", ("batch",))
)
_REQUESTS: Final = Tally(
    Counter("kernapay_batched_requests_total", "Requests in these batches, by kind", ("batch",))
)
# A batch of thousands would hold all their replies in memory at once, and make the first wait for the last.
_LARGEST_BATCH: Final = 500
MOST_WAITING: Final = 10_000
"""How many requests may wait, so that they do not fill the memory."""


def start_counting_batches(kind: str) -> None:
    """Let the metrics of such batches exist at zero."""
    _BATCHES.start_at_zero(kind)
    _REQUESTS.start_at_zero(kind)


def count_batch(kind: str, size: int) -> None:
    """Count a batch of so many requests in the metrics."""
    _BATCHES.counts[kind,] += 1
    _REQUESTS.counts[kind,] += size


class _Waiting(NamedTuple, Generic[RequestT, ReplyT]):
    request: RequestT
    reply: "asyncio.Future[ReplyT]"


class Batcher(Generic[RequestT, ReplyT]):
    """Collect requests and send them together, one batch at a time.

    Requests made while a batch is being sent wait for the next one. Under load, batches grow and a
    request costs less.
    """

    def __init__(
        self,
        send: Callable[[Sequence[RequestT]], Awaitable[Sequence[ReplyT | Exception]]],
        kind: str = "other",
        largest: int = _LARGEST_BATCH,
        pause: float = 0.0,
    ) -> None:
        """`send` returns one reply per request, in the same order.

        An error among the replies goes to its own request, and one that it raises to all of them. `kind` is what the
        metrics call these batches, and `largest` how many requests one has at most. A batch waits for `pause` seconds
        if the one before it had several requests: then there will soon be more.
        """
        self._largest = largest
        self._pause = pause
        self._last_size = 0
        self._kind = kind
        start_counting_batches(kind)
        self._send = send
        self._waiting: list[_Waiting[RequestT, ReplyT]] = []
        self._sending: asyncio.Task[None] | None = None
        self._is_scheduled = False

    def request(self, request: RequestT) -> "asyncio.Future[ReplyT]":
        """Return the reply, which is to be awaited. Raises Unavailable if 10,000 requests are waiting."""
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable(
                "Too many calls are waiting. Repeat the call in a second.", retry_after=1
            )
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[ReplyT] = loop.create_future()
        self._waiting.append(_Waiting(request, reply))
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._start, loop)
        return reply

    async def close(self) -> None:
        """Stop sending and cancel the waiting requests."""
        for waiting in self._waiting:
            waiting.reply.cancel()
        self._waiting.clear()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sending = loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                if self._pause and self._last_size > 1:
                    await asyncio.sleep(self._pause)
                batch = self._waiting[: self._largest]
                self._waiting = self._waiting[self._largest :]
                await self._send_batch(batch)
        finally:
            self._is_scheduled = False

    async def _send_batch(self, batch: list[_Waiting[RequestT, ReplyT]]) -> None:
        self._last_size = len(batch)
        count_batch(self._kind, len(batch))
        try:
            replies = await self._send([waiting.request for waiting in batch])
        except Exception as error:
            for waiting in batch:
                if not waiting.reply.done():
                    waiting.reply.set_exception(error)
            return
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.reply.cancel()
            raise
        for waiting, reply in zip(batch, replies, strict=True):
            if waiting.reply.done():
                continue
            if isinstance(reply, Exception):
                waiting.reply.set_exception(reply)
            else:
                waiting.reply.set_result(reply)
