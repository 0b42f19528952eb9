"""Send several Redis commands in one round trip, and give each its own reply or error."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from kernapay.storage.redis_clients import TIMEOUT, AnyRedis, connect

Command = tuple[Any, ...]
Reply = Any
"""What the server answered; a ResponseError for a command that it refused."""

_ATTEMPTS: Final = 2


class Sender(Protocol):
    """Sends batches of commands.

    A batch of which a connection was lost is sent once more, so commands must bear to be repeated.
    """

    async def send(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Return one reply per command. Raises what redis-py raises: then the outcome is unknown."""

    async def close(self) -> None: ...


def sender_of(client: AnyRedis, url: str) -> Sender:
    """Return a sender for the server, or for the cluster of which this is the client."""
    if isinstance(client, RedisCluster):
        return _ClusterSender(client)
    return _ServerSender(cast(Redis, connect(url, times_calls=False)))


class _ServerSender:
    """Uses a connection of redis-py for as long as it is good.

    Of the pool, each batch would take one with two locks and several measurements. redis-py's own pipeline sets a
    timeout for each reply.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._pool.connection_class = _exchanging(self._pool.connection_class)
        self._connection: Any = None

    async def send(self, commands: Sequence[Command]) -> Sequence[Reply]:
        packed = b"".join(map(pack_command, commands))
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TIMEOUT):
                    connection = await self._connect()
                    return await connection.exchange(packed, len(commands))
            except RedisConnectionError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    async def close(self) -> None:
        await self._release()
        await self._client.aclose()

    async def _connect(self) -> "_Exchanging":
        connection = self._connection
        # What can be read before anything was sent is the end of the connection, or is of an earlier batch.
        if (
            connection is None
            or not connection.is_connected
            or connection.should_reconnect()
            or await connection.can_read()
        ):
            await self._release()
            self._connection = connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return connection  # type: ignore[no-any-return]

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)


class _Exchanging(AbstractConnection):
    """A connection that reads the replies of a batch together.

    redis-py's `read_response` watches the time and looks for errors around each reply.
    """

    __slots__ = ()

    async def exchange(self, packed: bytes, count: int) -> list[Reply]:
        """Send so many packed commands and return their replies. Raises what redis-py raises."""
        await self.send_packed_command(packed)
        parser: Any = self._parser
        read = parser.read_response
        try:
            replies = [await read() for _ in range(count)]
        except BaseException as error:
            # No reply may reach another caller.
            await self.disconnect(nowait=True)
            if isinstance(error, OSError):
                raise RedisConnectionError(f"The connection broke: {error}") from error
            raise
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # The server is a replica now. A new connection goes to the new master.
            await self.disconnect(nowait=True)
            raise RedisConnectionError("The server accepts no writes any more.")
        return replies


def _exchanging(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return a class of redis-py's connections, TCP, TLS or of a Sentinel, with `exchange`."""
    return type("ExchangingConnection", (_Exchanging, kind), {})


class _ClusterSender:
    def __init__(self, client: RedisCluster) -> None:
        self._client = client

    async def send(self, commands: Sequence[Command]) -> Sequence[Reply]:
        try:
            # Let errors raise: only then the client follows slots that have moved between nodes.
            return await self._queue(commands).execute()  # type: ignore[no-any-return]
        except ResponseError:
            return await self._queue(commands).execute(raise_on_error=False)  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Do nothing: the client belongs to whoever opened it."""

    def _queue(self, commands: Sequence[Command]) -> Any:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline
