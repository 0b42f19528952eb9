"""Send several Redis commands in one round trip, and give each its own reply or error."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

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
    """Uses redis-py's connections, but reads the replies itself: its own pipeline sets a timeout for each of them."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def send(self, commands: Sequence[Command]) -> Sequence[Reply]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await self._exchange(commands)
            except RedisConnectionError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(b"".join(map(pack_command, commands)))
            replies: list[Reply] = []
            for _ in commands:
                try:
                    replies.append(await connection.read_response(timeout=math.inf))
                except ResponseError as error:
                    replies.append(error)
            return replies
        finally:
            # redis-py has closed a connection that was left in the middle: no reply can reach another caller.
            await pool.release(connection)


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
