"""Redis in all its forms: one server, Sentinel, Cluster."""

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

AnyRedis = Redis | RedisCluster
# RuntimeError is what uvloop says of a connection that was reset: "the handler is closed".
RedisFailure = (RedisError, OSError, TimeoutError, RuntimeError)

# redis-py would try ten times: 3.9 s a call with the server gone. The cache has its own breaker.
_OPTIONS: Final[dict[str, Any]] = {
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "health_check_interval": 30,
}
_CONNECTIONS: Final = 32
# A cluster client fails where a pool would wait, so it gets more than a process ever uses at once.
_CLUSTER_CONNECTIONS: Final = 256


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Follow the master that Sentinel names, and wait for a free connection."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        # Idle ones alone are closed when the master changes; all of them, when the client is.
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def connect(url: str) -> AnyRedis:
    """Make a client for `redis://`, `rediss://`, `redis+sentinel://h:p,h:p/master` or `redis+cluster://h:p,h:p`.

    Nothing is sent yet. Callers wait for a free connection instead of failing.
    """
    scheme, _, rest = url.partition("://")
    options = {**_OPTIONS, "retry": Retry(NoBackoff(), 1)}
    if scheme == "redis+sentinel":
        return _sentinel(rest, options)
    if scheme == "redis+cluster":
        return _cluster(rest, options)
    pool = BlockingConnectionPool.from_url(url, max_connections=_CONNECTIONS, timeout=2, **options)
    return Redis.from_pool(pool)


def _nodes(netloc: str, default_port: int) -> tuple[str | None, list[tuple[str, int]]]:
    credentials, _, hosts = netloc.rpartition("@")
    _, _, password = credentials.rpartition(":")
    nodes = []
    for host in hosts.split(","):
        parts = urlsplit(f"//{host}")
        nodes.append((parts.hostname or "127.0.0.1", parts.port or default_port))
    return unquote(password) or None, nodes


def _sentinel(rest: str, options: dict[str, Any]) -> AnyRedis:
    netloc, _, path = rest.partition("/")
    master, _, database = path.partition("/")
    password, nodes = _nodes(netloc, 26379)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        nodes, sentinel_kwargs={"socket_timeout": 0.5}, password=password
    )
    pool = _SentinelPool(  # type: ignore[no-untyped-call]
        master or "mymaster",
        sentinel,
        db=int(database or 0),
        password=password,
        max_connections=_CONNECTIONS,
        timeout=2,
        **options,
    )
    return Redis.from_pool(pool)


def _cluster(rest: str, options: dict[str, Any]) -> AnyRedis:
    password, nodes = _nodes(rest.partition("/")[0], 6379)
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in nodes],
        password=password,
        max_connections=_CLUSTER_CONNECTIONS,
        **options,
    )
