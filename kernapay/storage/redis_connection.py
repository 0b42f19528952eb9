"""Calls to one Redis server over one connection: those of an event loop turn in one write, without waiting for others.

redis-py opens the connection, with its password, TLS and Sentinel, and hands it over. Its own way to read replies, with
streams and tasks, made a cached read slower.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from hiredis import HiredisError, PushNotification, Reader, pack_command
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ReadOnlyError

from kernapay.core.errors import Unavailable
from kernapay.storage.batching import MOST_WAITING, count_batch, start_counting_batches
from kernapay.storage.redis_clients import TIMEOUT

Command = tuple[Any, ...]
Reply = Any
"""What the server answered; a ResponseError for a command that it refused."""

_KIND: Final = "redis"
_NOTHING: Final = object()


class _Call:
    """Commands that were asked for together, and their replies so far."""

    __slots__ = ("count", "deadline", "is_repeated", "packed", "replies", "result")

    def __init__(self, packed: bytes, count: int, result: "asyncio.Future[list[Reply]]") -> None:
        self.packed = packed
        self.count = count
        self.result = result
        self.replies: list[Reply] = []
        self.is_repeated = False
        self.deadline = 0.0

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class ServerCalls:
    """The calls to one server. A call of which the connection was lost is made once more."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[_Call] = []
        self._is_scheduled = False
        self._is_closed = False
        self._link: _Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        # Of redis-py. It goes back to the pool before another one is taken.
        self._connection: Any = None
        start_counting_batches(_KIND)

    def request(self, commands: Sequence[Command]) -> "asyncio.Future[list[Reply]]":
        """Send commands, which must bear to be repeated. Return a list of one reply per command.

        Raises Unavailable if 10,000 calls wait for their replies. The result raises what redis-py raises, or
        TimeoutError: then the outcome is unknown.
        """
        if len(self._waiting) + (len(self._link.sent) if self._link else 0) >= MOST_WAITING:
            raise Unavailable(
                "Too many calls are waiting. Repeat the call in a second.", retry_after=1
            )
        loop = asyncio.get_running_loop()
        packed = b"".join(map(pack_command, commands))
        call = _Call(packed, len(commands), loop.create_future())
        if self._is_closed:
            call.fail(RedisConnectionError("The connection was closed."))
            return call.result
        self._waiting.append(call)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._send)
        return call.result

    async def close(self) -> None:
        """Stop sending and cancel the calls that wait. Later ones fail."""
        # They would open a connection that nobody closes.
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        link, self._link = self._link, None
        for call in (*self._waiting, *(link.sent if link else ())):
            call.result.cancel()
        self._waiting.clear()
        if link is not None:
            link.sent.clear()
            link.abort()
        await self._release()
        await self._client.aclose()

    def _send(self) -> None:
        self._is_scheduled = False
        if self._connecting is not None or not self._waiting:
            return
        if self._link is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            return
        calls, self._waiting = self._waiting, []
        count_batch(_KIND, len(calls))
        self._link.send(calls)

    async def _connect(self) -> None:
        try:
            try:
                self._link = await self._open()
            except RedisConnectionError:
                self._link = await self._open()
        except Exception as error:
            calls, self._waiting = self._waiting, []
            for call in calls:
                call.fail(error)
        finally:
            self._connecting = None
        self._send()

    async def _open(self) -> "_Link":
        async with asyncio.timeout(TIMEOUT):
            await self._release()
            self._connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            return _Link(self._connection, self._lose)

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._client.connection_pool.release(connection)

    def _lose(self, link: "_Link", error: Exception, *, may_repeat: bool) -> None:
        """Fail the calls that were sent over a connection, or make them once more over another one."""
        if link is self._link:
            self._link = None
        repeated = []
        for call in link.sent:
            if call.is_repeated or not may_repeat:
                call.fail(error)
            elif not call.result.done():
                call.is_repeated = True
                call.replies = []
                repeated.append(call)
        link.sent.clear()
        self._waiting[:0] = repeated
        self._send()


class _Link(asyncio.Protocol):
    """A connection. It calls `lose` when it ends, or when it cannot be used any more."""

    def __init__(self, connection: Any, lose: Callable[..., None]) -> None:
        self._lose = lose
        self.sent: deque[_Call] = deque()
        """The calls without all their replies, the oldest first."""
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._reader = Reader(
            protocolError=InvalidResponse,
            replyError=connection._parser.parse_error,
            notEnoughData=_NOTHING,
        )
        # uvloop's does not derive from the class that asyncio names.
        self._transport = cast(asyncio.WriteTransport, connection._writer.transport)
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            raise RedisConnectionError("The connection ended as it began.")

    def send(self, calls: Sequence[_Call]) -> None:
        deadline = self._loop.time() + TIMEOUT
        for call in calls:
            call.deadline = deadline
        self.sent += calls
        if self._deadline is None:
            self._deadline = self._loop.call_at(deadline, self._check_deadline)
        try:
            self._transport.write(b"".join([call.packed for call in calls]))
        except RuntimeError as error:  # uvloop's, for a connection that was reset
            self._give_up(RedisConnectionError(f"The connection broke: {error}"))

    def data_received(self, data: bytes) -> None:
        sent = self.sent
        gets = self._reader.gets
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _NOTHING:
                if isinstance(reply, ReadOnlyError):
                    # The server is a replica now. A new connection goes to the new master.
                    raise RedisConnectionError("The server accepts no writes any more.")
                if isinstance(reply, PushNotification):
                    continue
                if not sent:
                    raise InvalidResponse("The server replied to nothing.")
                call = sent[0]
                call.replies.append(reply)
                if len(call.replies) == call.count:
                    sent.popleft()
                    if not call.result.done():
                        call.result.set_result(call.replies)
        except RedisConnectionError as error:
            self._give_up(error)
        except (InvalidResponse, HiredisError) as error:
            self._give_up(error, may_repeat=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(RedisConnectionError(f"The connection broke: {exc or 'it was closed'}"))

    def abort(self) -> None:
        """Close the connection now."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._transport.abort()

    def _check_deadline(self) -> None:
        self._deadline = None
        if not self.sent:
            return
        oldest = self.sent[0].deadline
        if oldest <= self._loop.time():
            # No reply may reach another call, so the connection must end.
            self._give_up(TimeoutError(), may_repeat=False)
        else:
            self._deadline = self._loop.call_at(oldest, self._check_deadline)

    def _give_up(self, error: Exception, *, may_repeat: bool = True) -> None:
        self.abort()
        self._lose(self, error, may_repeat=may_repeat)
