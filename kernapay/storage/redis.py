"""The only module that sends commands to Redis."""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any, Final, NamedTuple, Protocol

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from kernapay.storage.batching import Batcher
from kernapay.storage.redis_clients import connect

RedisFailure = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""What any call here may raise.

RuntimeError is uvloop's answer for a connection that was reset ("the handler is closed"); a cluster none of whose
nodes answers, or that has lost a slot, raises exceptions of a family of its own.
"""

_DELETED_AT_ONCE: Final = 500


class Address(NamedTuple):
    """Where a cached value lives: a key, and a field of its hash."""

    key: str
    field: str


class Script(Protocol):
    """A Lua script on the keys of one slot."""

    async def __call__(self, *, keys: Sequence[str], args: Sequence[Any]) -> Any: ...


class RedisStore:
    """The commands that KernaPay needs. Every call may raise one of RedisFailure."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self._reads: Batcher[tuple[Address, ...], list[bytes | None]] = Batcher(self._read)

    @property
    def is_cluster(self) -> bool:
        """Whether one part of it may be away while the others serve."""
        return isinstance(self._client, RedisCluster)

    def read(self, addresses: tuple[Address, ...]) -> Awaitable[list[bytes | None]]:
        """Read fields of hashes; None for what is not there.

        Reads issued in one turn of the event loop travel as one pipeline over one connection.
        """
        return self._reads.request(addresses)

    async def delete(self, key: str) -> None:
        await self._client.delete(key)

    async def delete_all(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            pipeline = self._client.pipeline(transaction=False)
            for key in keys[start : start + _DELETED_AT_ONCE]:
                pipeline.delete(key)
            await pipeline.execute()

    async def set(self, key: str, value: bytes, lifetime: timedelta) -> None:
        await self._client.set(key, value, ex=lifetime)

    async def exists(self, key: str) -> bool:
        return bool(await self._client.exists(key))

    def script(self, source: str) -> Script:
        script: Script = self._client.register_script(source)
        return script

    async def data_sets(self) -> frozenset[str]:
        """Return the replication ids of the data sets that take the writes.

        Another answer means that a restart or a failover came between.
        """
        if isinstance(self._client, RedisCluster):
            reply = await self._client.info("replication", target_nodes=RedisCluster.PRIMARIES)
            nodes = [reply] if "role" in reply else list(reply.values())
        else:
            nodes = [await self._client.info("replication")]
        return frozenset(str(node.get("master_replid")) for node in nodes)

    async def server_time(self) -> datetime:
        """Return the time of one of the servers, in UTC."""
        seconds, microseconds = _one_node(await self._client.time())
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    async def server_info(self) -> dict[str, Any]:
        """Return what INFO says of one of the servers."""
        info: dict[str, Any] = _one_node(await self._client.info())
        return info

    async def close(self) -> None:
        await self._reads.close()
        await self._client.aclose()

    async def _read(self, requests: Sequence[tuple[Address, ...]]) -> list[list[bytes | None]]:
        addresses = list(chain.from_iterable(requests))
        try:
            # Raising, a cluster's client follows what has moved between its nodes.
            replies = iter(await self._pipeline(addresses).execute())
        except RedisFailure as error:
            if "WRONGTYPE" not in str(error):
                raise
            # One key of another type is a miss, not the loss of Redis; taking the lease removes it.
            found = await self._pipeline(addresses).execute(raise_on_error=False)
            replies = iter([None if isinstance(each, Exception) else each for each in found])
        return [list(islice(replies, len(request))) for request in requests]

    def _pipeline(self, addresses: Sequence[Address]) -> Any:
        pipeline = self._client.pipeline(transaction=False)
        for key, field in addresses:
            pipeline.hget(key, field)
        return pipeline


def _one_node(reply: Any) -> Any:
    """Return the answer of one node: a cluster's client answers by node."""
    if isinstance(reply, dict) and all(isinstance(value, dict | tuple) for value in reply.values()):
        return next(iter(reply.values()))
    return reply
