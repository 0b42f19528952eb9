"""Send Redis commands, those of one event loop turn in one round trip, and give each its own reply or error."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from kernapay.storage.batching import Batcher
from kernapay.storage.redis_clients import AnyRedis, connect
from kernapay.storage.redis_connection import Command, Reply, ServerCalls


class Calls(Protocol):
    """Sends calls of one or several commands. Commands may be sent twice, so they must bear to be repeated."""

    def request(self, commands: Sequence[Command]) -> "asyncio.Future[list[Reply]]":
        """Return a list of one reply per command. Raises Unavailable if too many calls are waiting.

        The result raises what redis-py raises, or TimeoutError: then the outcome is unknown.
        """

    async def close(self) -> None: ...


def calls_to(client: AnyRedis, url: str) -> Calls:
    """Return what sends calls to the server, or to the cluster of which this is the client."""
    if isinstance(client, RedisCluster):
        return _ClusterCalls(client)
    return ServerCalls(cast(Redis, connect(url, times_calls=False)))


class _ClusterCalls:
    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        self._batches: Batcher[Sequence[Command], list[Reply]] = Batcher(self._send, "redis")

    def request(self, commands: Sequence[Command]) -> "asyncio.Future[list[Reply]]":
        return self._batches.request(commands)

    async def close(self) -> None:
        """Stop sending. The client belongs to whoever opened it."""
        await self._batches.close()

    async def _send(self, calls: Sequence[Sequence[Command]]) -> list[list[Reply]]:
        try:
            # Let errors raise: only then the client follows slots that have moved between nodes.
            replies = await self._queue(calls).execute()
        except ResponseError:
            replies = await self._queue(calls).execute(raise_on_error=False)
        each = iter(replies)
        return [list(islice(each, len(call))) for call in calls]

    def _queue(self, calls: Sequence[Sequence[Command]]) -> Any:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            for command in call:
                pipeline.execute_command(*command)
        return pipeline
