"""Send the requests of one event loop turn as one batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class _Waiting(NamedTuple, Generic[RequestT, ReplyT]):
    request: RequestT
    reply: "asyncio.Future[ReplyT]"


class Batcher(Generic[RequestT, ReplyT]):
    """Collect requests and send them together, one batch at a time.

    Requests made while a batch is being sent wait for the next one. Under load, batches grow and a
    request costs less.
    """

    def __init__(self, send: Callable[[Sequence[RequestT]], Awaitable[Sequence[ReplyT]]]) -> None:
        """`send` returns one reply per request, in the same order. An error that it raises goes to every request."""
        self._send = send
        self._waiting: list[_Waiting[RequestT, ReplyT]] = []
        self._sending: asyncio.Task[None] | None = None
        self._is_scheduled = False

    def request(self, request: RequestT) -> "asyncio.Future[ReplyT]":
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
                batch, self._waiting = self._waiting, []
                await self._send_batch(batch)
        finally:
            self._is_scheduled = False

    async def _send_batch(self, batch: list[_Waiting[RequestT, ReplyT]]) -> None:
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
            if not waiting.reply.done():
                waiting.reply.set_result(reply)
