"""The only module that sends commands to Redis."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from kernapay.storage.addresses import without_login
from kernapay.storage.redis_clients import TIMEOUT, connect
from kernapay.storage.redis_connection import Reply
from kernapay.storage.redis_pipelines import calls_to

RedisFailure = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""What every call here may raise.

uvloop raises RuntimeError ("the handler is closed") for a connection that was reset. RedisClusterException comes from
a cluster of which no node answers, or which does not serve every slot.
"""

_DELETE_BATCH: Final = 500
_WRONG_TYPE: Final = "WRONGTYPE"


class Address(NamedTuple):
    """The place of a cached value: a key, and a field of its hash."""

    key: str
    field: str


class Script:
    """A Lua script. Its keys must be in one slot of a cluster."""

    def __init__(self, redis: "RedisStore", source: str) -> None:
        self._redis = redis
        self._source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        try:
            return await self._redis.execute("EVALSHA", self._digest, len(keys), *keys, *args)
        except NoScriptError:  # a server that has restarted knows no scripts
            return await self._redis.execute("EVAL", self._source, len(keys), *keys, *args)


class Subscription:
    """The messages of a channel, over one connection."""

    def __init__(self, channel: PubSub) -> None:
        self._channel = channel

    async def read(self, seconds: float) -> bytes | None:
        """Return the next message, None if none came in so many seconds. Raises RedisFailure.

        It raises too after a reconnection: what was published meanwhile is lost.
        """
        reply = await self._channel.get_message(timeout=seconds)
        if reply is None:
            # A server that hangs, or a broken network, is silent as well.
            async with asyncio.timeout(TIMEOUT):
                await self._channel.ping()
            reply = await self._channel.get_message(timeout=TIMEOUT)
        if reply is None:
            raise TimeoutError
        if reply["type"] == "subscribe":
            # redis-py has connected again by itself.
            raise RedisConnectionError("The subscription was interrupted.")
        return reply["data"] if reply["type"] == "message" else None


class RedisStore:
    """The Redis commands that KernaPay needs. Every call may raise RedisFailure.

    Commands of one event loop turn are sent together, in one round trip.
    """

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self.address = without_login(url)
        """The URL without user, password and options."""
        self._calls = calls_to(self._client, url)

    @property
    def is_cluster(self) -> bool:
        """Whether this is a cluster, of which one node may be down while the others serve."""
        return isinstance(self._client, RedisCluster)

    async def execute(self, *command: Any) -> Any:
        """Send one command, and return its reply without decoding it."""
        (reply,) = await self._calls.request([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def read(self, addresses: Sequence[Address]) -> list[bytes | None]:
        """Return the values of fields of hashes; None for each that is missing."""
        replies = await self._calls.request([("HGET", *address) for address in addresses])
        return [
            reply if type(reply) is bytes or reply is None else _value(reply) for reply in replies
        ]

    async def delete(self, *keys: str) -> None:
        # One command each: in a cluster the keys are on different nodes.
        for reply in await self._calls.request([("DEL", key) for key in keys]):
            if isinstance(reply, Exception):
                raise reply

    async def delete_all(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETE_BATCH):
            await self.delete(*keys[start : start + _DELETE_BATCH])

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
        await self.execute("SET", key, value, "EX", int(lifetime.total_seconds()))

    async def exists(self, key: str) -> bool:
        return bool(await self.execute("EXISTS", key))

    def publish(self, channel: str, message: str) -> "asyncio.Future[list[Reply]]":
        """Send a message to all who are subscribed now, with the other commands of this turn.

        The result, which need not be awaited, is a list of one reply. Raises Unavailable if too many calls are waiting.
        """
        return self._calls.request([("PUBLISH", channel, message)])

    @asynccontextmanager
    async def subscription(self, channel: str) -> AsyncIterator[Subscription]:
        """Subscribe to a channel. In a cluster any node will do: each receives what is published at another."""
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()
            messages: PubSub = self._client.pubsub(node=self._client.get_random_node())
        else:
            messages = self._client.pubsub()
        try:
            async with asyncio.timeout(4 * TIMEOUT):
                await messages.subscribe(channel)
                if await messages.get_message(timeout=TIMEOUT) is None:
                    raise TimeoutError
            yield Subscription(messages)
        finally:
            await messages.aclose()  # type: ignore[no-untyped-call]

    def script(self, source: str) -> Script:
        return Script(self, source)

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
        await self._calls.close()
        await self._client.aclose()


def _value(reply: Reply) -> bytes | None:
    if isinstance(reply, ResponseError) and str(reply).startswith(_WRONG_TYPE):
        # A key of another type is a cache miss, not an outage. Taking the lease deletes it.
        return None
    if isinstance(reply, Exception):
        raise reply
    value: bytes | None = reply
    return value


def _one_node(reply: Any) -> Any:
    """Return one node's reply: the cluster client returns a reply per node."""
    if isinstance(reply, dict) and all(isinstance(value, dict | tuple) for value in reply.values()):
        return next(iter(reply.values()))
    return reply
