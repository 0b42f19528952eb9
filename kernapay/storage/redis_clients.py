"""Redis clients for one server, Sentinel and Cluster."""

import asyncio
import re
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

AnyRedis = Redis | RedisCluster
TIMEOUT: Final = 0.5
"""Seconds that a call may take."""
# redis-py retries ten times: 3.9 s per call while the server is down. The cache stops using Redis by itself.
_OPTIONS: Final[dict[str, Any]] = {
    "socket_timeout": TIMEOUT,
    "socket_connect_timeout": TIMEOUT,
    "health_check_interval": 30,
}
# The allowed path after the hosts. redis-py silently uses database 0 for anything that is not a number.
_PATHS: Final = {"": r"(/\d*)?", "+sentinel": r"(/[^/]*(/\d*)?)?", "+cluster": "/?"}
# The other forms have no options: redis-py does not read such URLs.
_SENTINEL_LOGIN: Final = {"sentinel_username", "sentinel_password"}
_SCHEMES: Final = tuple(f"{name}{form}://" for form in _PATHS for name in ("redis", "rediss"))
_CONNECTIONS: Final = 32
# A cluster client fails when its connections are used up, where a pool would wait. So allow more than a process uses.
_CLUSTER_CONNECTIONS: Final = 256


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Follow the master that Sentinel names, and wait for a free connection."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        # False means that the master has changed, true that the client closes. The sentinels are needed until then.
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


class _Sentinels(Sentinel):
    """Let a silent sentinel keep nobody from the others."""

    def __init__(self, nodes: list[tuple[str, int]], options: dict[str, Any]) -> None:
        super().__init__(nodes, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        self._asking = asyncio.Lock()

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        # One at a time: each changes the order of the list, and two at once can lose an entry of it.
        async with self._asking:
            try:
                found: tuple[str, int] = await super().discover_master(service_name)
            except asyncio.CancelledError:
                # A call ends after as long as redis-py waits for one sentinel. The next one begins with another.
                self.sentinels.append(self.sentinels.pop(0))
                raise
            return found


class _Target(NamedTuple):
    nodes: list[tuple[str, int]]
    login: dict[str, Any]
    tls: dict[str, Any]


def connect(url: str, *, times_calls: bool = True) -> AnyRedis:
    """Return a client for `redis://`, `redis+sentinel://h:p,h:p/master/db` or `redis+cluster://h:p,h:p`.

    `rediss` instead of `redis` means TLS. `user:password@` goes before the hosts. Credentials of the sentinels
    themselves are given as `?sentinel_username=…&sentinel_password=…`. Nothing is sent yet. Callers wait for a free
    connection. Without `times_calls`, the connections of a single server wait as long as it takes.
    """
    split = _split(url)
    options = {**_OPTIONS, "retry": Retry(NoBackoff(), 1)}
    if split.scheme.endswith("+sentinel"):
        return _sentinel(split, options, times_calls=times_calls)
    if split.scheme.endswith("+cluster"):
        return _cluster(split, options)
    options["socket_timeout"] = TIMEOUT if times_calls else None
    pool = BlockingConnectionPool.from_url(url, max_connections=_CONNECTIONS, timeout=2, **options)
    return Redis.from_pool(pool)


def check_url(url: str) -> None:
    """Raise ValueError for a URL that `connect` cannot use, without connecting.

    The message does not repeat the URL: it may contain a password.
    """
    if not url.startswith(_SCHEMES):
        raise ValueError(f"must start with one of {', '.join(_SCHEMES)}")
    try:
        usable = _is_complete(_split(url))
        client = connect(url)
        if isinstance(client, Redis):
            # Checks the options and sends nothing.
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError):
        usable = False
    if not usable:
        raise ValueError(
            "is malformed: name a host, use numbers for port and database and options that redis-py has, "
            "and write # / ? @ : % in a password as %23 %2F %3F %40 %3A %25"
        )


def add_password(url: str, password: str) -> str:
    """Return the URL with this password, unless it has one of its own."""
    split = _split(url)
    login, _, hosts = split.netloc.rpartition("@")
    user, _, own = login.partition(":")
    if own or "password" in parse_qs(split.query):
        return url
    return split._replace(netloc=f"{user}:{quote(password, safe='')}@{hosts}").geturl()


def _split(url: str) -> SplitResult:
    # Newer releases of Python let urlsplit refuse `a:1,[::1]:3`: it knows of one host only.
    scheme, _, rest = url.partition("://")
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    hosts, slash, path = rest.partition("/")
    return SplitResult(scheme, hosts, slash + path, query, fragment)


def _is_complete(split: SplitResult) -> bool:
    form = "".join(split.scheme.partition("+")[1:])
    nodes = split.netloc.rpartition("@")[2].split(",")
    options = {name for name, _ in parse_qsl(split.query, keep_blank_values=True)}
    return (
        # An unescaped # or / or ? in a password ends it early: the @ then stands behind.
        not split.fragment
        and "@" not in split.path
        and ("@" not in split.query or options <= _SENTINEL_LOGIN)
        and (form == "" or options <= (_SENTINEL_LOGIN if form == "+sentinel" else set()))
        and all(re.fullmatch(r"\S+", urlsplit(f"//{node}").hostname or "") for node in nodes)
        and (form != "" or len(nodes) == 1)
        and re.fullmatch(_PATHS[form], split.path) is not None
    )


def _target(split: SplitResult, default_port: int) -> _Target:
    credentials, _, hosts = split.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    nodes = []
    for host in hosts.split(","):
        parts = urlsplit(f"//{host}")
        nodes.append((parts.hostname or "127.0.0.1", parts.port or default_port))
    login = {"username": unquote(username) or None, "password": unquote(password) or None}
    return _Target(nodes, login, {"ssl": True} if split.scheme.startswith("rediss") else {})


def _sentinel(split: SplitResult, options: dict[str, Any], *, times_calls: bool) -> AnyRedis:
    nodes, login, tls = _target(split, 26379)
    _, master, database = (*split.path.split("/"), "", "")[:3]
    query = parse_qs(split.query)
    sentinel_login = {
        n: query[f"sentinel_{n}"][0] for n in ("username", "password") if f"sentinel_{n}" in query
    }
    once = {**options, "retry": Retry(NoBackoff(), 0)}
    sentinel = _Sentinels(nodes, {**once, **sentinel_login, **tls})
    pool = _SentinelPool(  # type: ignore[no-untyped-call]
        master or "mymaster",
        sentinel,
        db=int(database or 0),
        max_connections=_CONNECTIONS,
        timeout=2,
        **{**options, "socket_timeout": TIMEOUT if times_calls else None},
        **login,
        **tls,
    )
    return Redis.from_pool(pool)


def _cluster(split: SplitResult, options: dict[str, Any]) -> AnyRedis:
    nodes, login, tls = _target(split, 6379)
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in nodes],
        max_connections=_CLUSTER_CONNECTIONS,
        **options,
        **login,
        **tls,
    )
