"""Names, passwords and TLS reach every server of the forms that have several."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster as ClusterClient
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from kernapay.storage.redis import RedisFailure, RedisStore
from kernapay.storage.redis_clients import connect
from tests.clusters.topologies import RedisCluster, RedisSentinel

pytestmark = [pytest.mark.long, pytest.mark.anyio]
SECRET, WRITTEN = "p@ss/word", "p%40ss%2Fword"


@pytest.fixture(scope="module", params=[RedisSentinel, RedisCluster])
def redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisSentinel | RedisCluster]:
    with request.param(tmp_path_factory.mktemp("redis")) as redis:
        for node in redis.nodes:
            with node.client() as client:
                client.acl_setuser(
                    "shop", enabled=True, passwords=[f"+{SECRET}"], keys=["*"], categories=["+@all"]
                )
        yield redis


def signed_in(url: str, login: str) -> str:
    return url.replace("://", f"://{login}@")


async def test_the_name_and_the_password_open_every_node(
    redis: RedisSentinel | RedisCluster,
) -> None:
    url = signed_in(redis.url, f"shop:{WRITTEN}")
    store = RedisStore(url)
    try:
        for number in range(20):
            await store.set(f"key:{number}", b"1", timedelta(minutes=1))
        assert await store.data_sets()
    finally:
        await store.close()
    client = connect(url)
    try:
        assert await client.execute_command("ACL WHOAMI") == "shop"
    finally:
        await client.aclose()


async def test_a_wrong_password_is_a_failure_like_any_other(
    redis: RedisSentinel | RedisCluster,
) -> None:
    store = RedisStore(signed_in(redis.url, "shop:wrong"))
    try:
        with pytest.raises(RedisFailure):
            await store.data_sets()
    finally:
        await store.close()


async def test_tls_is_for_the_servers_and_for_the_sentinels() -> None:
    url = f"rediss+sentinel://shop:{WRITTEN}@a:1,b/m/2?sentinel_password=theirs"
    client = connect(url)
    assert isinstance(client, Redis)
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.connection_class is SentinelManagedSSLConnection
    ours = {"username": "shop", "password": SECRET, "db": 2}
    assert ours.items() <= pool.connection_kwargs.items()
    assert pool.service_name == "m"
    for sentinel, place in zip(
        pool.sentinel_manager.sentinels, [("a", 1), ("b", 26379)], strict=True
    ):
        theirs = sentinel.connection_pool.connection_kwargs
        assert (theirs["host"], theirs["port"]) == place
        assert (theirs["username"], theirs["password"]) == (None, "theirs")
        assert "SSL" in sentinel.connection_pool.connection_class.__name__
    await client.aclose()
    cluster = connect(f"rediss+cluster://shop:{WRITTEN}@a,b:1")
    assert isinstance(cluster, ClusterClient)
    assert cluster.connection_kwargs["password"] == SECRET
    assert "SSL" in cluster.connection_kwargs["connection_class"].__name__
    await cluster.aclose()
