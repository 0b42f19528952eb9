"""The only module that sends commands to Redis."""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any, Final, NamedTuple, Protocol

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from kernapay.storage.addresses import without_login
from kernapay.storage.batching import Batcher
from kernapay.storage.redis_clients import connect

RedisFailure = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""What every call here may raise.

uvloop raises RuntimeError ("the handler is closed") for a connection that was reset. RedisClusterException comes from
a cluster of which no node answers, or which does not serve every slot.
"""

_DELETE_BATCH: Final = 500


class Address(NamedTuple):
    """The place of a cached value: a key, and a field of its hash."""

    key: str
    field: str


class Script(Protocol):
    """A Lua script. Its keys must be in one slot of a cluster."""

    async def __call__(self, *, keys: Sequence[str], args: Sequence[Any]) -> Any: ...


class RedisStore:
    """The Redis commands that KernaPay needs. Every call may raise RedisFailure."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self.address = without_login(url)
        """The URL without user, password and options."""
        self._reads: Batcher[tuple[Address, ...], list[bytes | None]] = Batcher(self._read)

    @property
    def is_cluster(self) -> bool:
        """Whether this is a cluster, of which one node may be down while the others serve."""
        return isinstance(self._client, RedisCluster)

    def read(self, addresses: tuple[Address, ...]) -> Awaitable[list[bytes | None]]:
        """Return the values of fields of hashes; None for each that is missing.

        Reads of one event loop turn are sent as one pipeline over one connection.
        """
        return self._reads.request(addresses)

    async def delete(self, key: str) -> None:
        await self._client.delete(key)

    async def delete_all(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETE_BATCH):
            pipeline = self._client.pipeline(transaction=False)
            for key in keys[start : start + _DELETE_BATCH]:
                pipeline.delete(key)
            await pipeline.execute()

    async def delete_prefixed(self, prefixes: Sequence[str]) -> None:
        """Delete every key that begins with one of these."""
        for prefix in prefixes:
            batch: list[str] = []
            async for key in self._client.scan_iter(match=f"{prefix}*", count=_DELETE_BATCH):
                batch.append(key)
                if len(batch) == _DELETE_BATCH:
                    await self.delete_all(batch)
                    batch.clear()
            await self.delete_all(batch)

    async def set(self, key: str, value: bytes, lifetime: timedelta) -> None:
        await self._client.set(key, value, ex=lifetime)

    async def exists(self, key: str) -> bool:
        return bool(await self._client.exists(key))

    def script(self, source: str) -> Script:
        script: Script = self._client.register_script(source)
        return script

    async def data_sets(self) -> frozenset[str]:
        """Return the replication ids of the servers that accept writes.

        A different answer than before means a restart or a failover.
        """
        if isinstance(self._client, RedisCluster):
            reply = await self._client.info("replication", target_nodes=RedisCluster.PRIMARIES)
            nodes = [reply] if "role" in reply else list(reply.values())
        else:
            nodes = [await self._client.info("replication")]
        return frozenset(str(node.get("master_replid")) for node in nodes)

    async def server_time(self) -> datetime:
        """Return the time of one server, in UTC."""
        seconds, microseconds = _one_node(await self._client.time())
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    async def server_info(self) -> dict[str, Any]:
        """Return the INFO of one server."""
        info: dict[str, Any] = _one_node(await self._client.info())
        return info

    async def close(self) -> None:
        await self._reads.close()
        await self._client.aclose()

    async def _read(self, requests: Sequence[tuple[Address, ...]]) -> list[list[bytes | None]]:
        addresses = list(chain.from_iterable(requests))
        try:
            # Let errors raise: only then the cluster client follows slots that have moved between nodes.
            replies = iter(await self._pipeline(addresses).execute())
        except RedisFailure as error:
            if "WRONGTYPE" not in str(error):
                raise
            # A key of another type is a cache miss, not an outage. Taking the lease deletes it.
            results = await self._pipeline(addresses).execute(raise_on_error=False)
            replies = iter([None if isinstance(each, Exception) else each for each in results])
        return [list(islice(replies, len(request))) for request in requests]

    def _pipeline(self, addresses: Sequence[Address]) -> Any:
        pipeline = self._client.pipeline(transaction=False)
        for key, field in addresses:
            pipeline.hget(key, field)
        return pipeline


def _one_node(reply: Any) -> Any:
    """Return one node's reply: the cluster client returns a reply per node."""
    if isinstance(reply, dict) and all(isinstance(value, dict | tuple) for value in reply.values()):
        return next(iter(reply.values()))
    return reply
