from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import RedisCluster as ClusterClient
from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from kernapay.devstack.process import ServerError
from tests.aliases import Store
from tests.clusters.proxy import Mode
from tests.clusters.topologies import (
    MASTER_NAME,
    MongoReplicaSet,
    RedisCluster,
    RedisSentinel,
    wait_for,
)
from tests.databases import open_store


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoReplicaSet]:
    with MongoReplicaSet(tmp_path_factory.mktemp("set"), proxied=True) as cluster:
        yield cluster


def insert(database: Store, name: str) -> None:
    database.things.insert_one({"name": name})


def names(url: str) -> list[str]:
    with open_store(url) as database:
        return [thing["name"] for thing in database.things.find().sort("_id")]


@pytest.fixture
def url(replica_set: MongoReplicaSet) -> str:
    url = replica_set.database_url("shop")
    with open_store(url) as database:
        database.client.drop_database("shop")
    return url


def test_a_primary_that_steps_down_is_replaced_under_a_client(
    replica_set: MongoReplicaSet, url: str
) -> None:
    with open_store(url) as database:
        insert(database, "before")
        old = replica_set.primary()
        assert replica_set.step_down() != old
        insert(database, "after")
    assert names(url) == ["before", "after"]


def test_a_majority_write_survives_the_kill_of_the_primary(
    replica_set: MongoReplicaSet, url: str
) -> None:
    with open_store(url) as database:
        insert(database, "before")
        old = replica_set.primary()
        replica_set.kill(old)
        assert replica_set.primary() != old
        insert(database, "without the old one")
        replica_set.restart(old)
        replica_set.wait_complete()
    assert names(url) == ["before", "without the old one"]


def test_a_primary_that_is_cut_off_by_its_proxy_is_replaced(
    replica_set: MongoReplicaSet, url: str
) -> None:
    old = replica_set.primary()
    replica_set.proxies[old].set(Mode.CUT)
    try:
        new = replica_set.primary(other_than=old)
        with open_store(url) as database:
            insert(database, "past the cut")
    finally:
        replica_set.proxies[old].set(Mode.PASS)
    assert new != old
    replica_set.wait_complete()
    assert names(url) == ["past the cut"]


def test_sentinels_replace_a_master_that_is_killed(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path) as cluster:
        hosts = cluster.url.removeprefix("redis+sentinel://").removesuffix(f"/{MASTER_NAME}")
        addresses = [tuple(host.split(":")) for host in hosts.split(",")]
        assert len(addresses) == 3
        ports = [(host, int(port)) for host, port in addresses]
        # Neither this class nor the client that it makes is annotated.
        sentinel: Any = Sentinel(ports, socket_timeout=1)  # type: ignore[no-untyped-call]
        client: Any = sentinel.master_for(MASTER_NAME, decode_responses=True)
        client.set("before", "stored")
        client.execute_command("WAIT", 1, 5000)

        old = cluster.master()
        new = cluster.failover()
        assert new != old
        wait_for("answer", lambda: client.get("before") == "stored")
        client.set("after", "written")

        cluster.restart(old)
        with cluster.nodes[old].client() as restarted:
            wait_for("replica", lambda: restarted.get("after") == "written")
        client.close()
        for each in sentinel.sentinels:
            each.close()


def test_a_redis_cluster_spreads_keys_and_recovers_from_a_restart(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        address = cluster.url.removeprefix("redis+cluster://").split(",")[0]
        with ClusterClient.from_url(f"redis://{address}") as client:
            for number in range(100):
                client.set(f"key:{number}", number)
        sizes = []
        for node in cluster.nodes:
            with node.client() as client:
                sizes.append(client.dbsize())
        assert sum(sizes) == 100
        assert all(sizes)

        # While a slow disk syncs, Valkey holds back what it appends, though it has answered.
        with cluster.nodes[1].client() as client:
            wait_for("file", lambda: client.info("persistence")["aof_buffer_length"] == 0)
        cluster.kill(1)
        cluster.restart(1)
        cluster.wait_ok()
        with ClusterClient.from_url(f"redis://{address}", decode_responses=True) as client:
            assert [client.get(f"key:{number}") for number in range(100)] == [
                str(number) for number in range(100)
            ]


def test_waiting_for_what_never_comes_ends_with_its_name() -> None:
    def never() -> bool:
        raise RedisError

    with pytest.raises(ServerError, match=r"No miracle after 0\.1 s"):
        wait_for("miracle", never, timeout=0.1)
