"""The whole API over a MongoDB replica set and each form of Redis, and what other processes see when Redis changes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from tests.actors import PAYMENTS, USERS, Actor, assert_problem, verify
from tests.aliases import RecordProperty
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode, Proxy
from tests.clusters.topologies import MongoReplicaSet, RedisCluster, RedisSentinel
from tests.distributed.service import Service
from tests.factories import payment_body, unique
from tests.waiting import eventually

pytestmark = pytest.mark.long

LIMITED = {"RATE_LIMITS": "true", "RATE_LIMIT_STATUS": "20/hour"}


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoReplicaSet]:
    with MongoReplicaSet(tmp_path_factory.mktemp("mongo")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def on_sentinel(
    replica_set: MongoReplicaSet, sentinel: RedisSentinel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    home, database = tmp_path_factory.mktemp("service"), replica_set.database_url("on_sentinel")
    with Service(home, database, [sentinel.url] * 2, worker=False, **LIMITED) as service:
        yield service


@pytest.fixture(scope="module")
def on_cluster(
    replica_set: MongoReplicaSet, cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    home, database = tmp_path_factory.mktemp("service"), replica_set.database_url("on_cluster")
    with Service(home, database, [cluster.url] * 2, worker=False, **LIMITED) as service:
        yield service


@pytest.fixture(params=["on_sentinel", "on_cluster"])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    eventually(found.all_up)
    return found


def test_a_sale_goes_through_from_sign_up_to_history(service: Service) -> None:
    here = service.people().new()
    there = here.at(service.apis[1].client)
    assert there.history().json() == []
    body = payment_body()
    payment = here.create(body).json()["data"]
    assert there.create(body).json()["data"] == payment
    assert [line["status"] for line in there.history().json()] == ["pending"]
    checkout = service.sandbox.pay(payment["orderId"])
    answer = verify(here.client, payment, checkout)
    assert answer.status_code == 200, answer.text
    assert [line["status"] for line in there.history().json()] == ["success"]
    by_webhook = here.new_payment()
    service.sandbox.pay(by_webhook["orderId"])
    eventually(lambda: [x["status"] for x in here.history().json()] == ["success"] * 2)
    events = {row["status"] for row in service.store.webhook_events.find()}
    assert events <= {"processed", "ignored", "pending"}
    assert service.all_up(), "no part of it failed on the way"


def test_every_change_of_a_payment_names_the_user_by_whom_payments_are_sharded(
    on_sentinel: Service,
) -> None:
    store = on_sentinel.store
    person, admin = on_sentinel.people().new(), on_sentinel.people(1).new("ADMIN")
    store.command("profile", 2)
    try:
        payment, _ = person.buy(on_sentinel.sandbox)
        failed = person.new_payment()
        on_sentinel.sandbox.pay(failed["orderId"], "failure")
        eventually(lambda: person.seen(failed["referenceId"])["status"] == "failed")
        refund = {"amount": 100, "idempotencyKey": unique("refund-")}
        path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
        answer = admin.call("POST", path, json=refund)
        assert answer.is_success, answer.text
    finally:
        store.command("profile", 0)
    profile = store["system.profile"]
    together = profile.find({"op": "update", "ns": f"{store.name}.payments"})
    alone = profile.find({"command.findAndModify": "payments"})
    changes = [seen["command"]["q"] for seen in together]
    assert len(changes) >= 2
    changes += [seen["command"]["query"] for seen in alone]
    assert len(changes) >= 6
    for query in changes:
        assert "userId" in query, query


def test_a_process_sees_at_once_what_another_one_changed(service: Service) -> None:
    here = service.people().new()
    there = here.at(service.apis[1].client)
    for number in range(20):
        assert there.profile().status_code == 200
        assert here.update(name=f"Name {number}").status_code == 200
        assert there.profile().json()["name"] == f"Name {number}"
    assert here.log_out().status_code == 200
    assert_problem(there.profile(), 401)


def test_processes_count_rate_limits_together(service: Service) -> None:
    payment = service.people().new().new_payment()
    path = f"{PAYMENTS}/status/{payment['referenceId']}"

    def ask(number: int) -> int:
        return service.apis[number % 2].client.get(path).status_code

    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(ask, range(40)))
    assert sorted(set(answers)) == [200, 429]
    assert answers.count(200) <= 20


def names(*people: Actor) -> set[str]:
    return {person.profile().json()["name"] for person in people}


def have_name(name: str, *people: Actor) -> bool:
    return names(*people) == {name}


@contextmanager
def cut_off(replica: RedisNode, master: RedisNode) -> Iterator[None]:
    """Let nothing that the master takes in reach its replica."""
    with replica.client() as client, master.client() as other:
        client.config_set("masterauth", "not the password")
        client.config_set("masteruser", "nobody")
        other.execute_command("CLIENT KILL TYPE replica")
        eventually(lambda: client.info("replication")["master_link_status"] == "down")
        yield


def test_a_drop_that_a_failover_undid_is_repeated(
    on_sentinel: Service, sentinel: RedisSentinel, record_property: RecordProperty
) -> None:
    eventually(on_sentinel.all_up)
    here = on_sentinel.people().new()
    there = here.at(on_sentinel.apis[1].client)
    assert here.update(name="Old Name").status_code == 200
    assert names(here, there) == {"Old Name"}
    key = f"user:{here.id}"
    master = sentinel.master()
    replica = sentinel.nodes[1 - master]
    with replica.client() as client:
        eventually(lambda: client.exists(key))
        with cut_off(replica, sentinel.nodes[master]):
            assert here.update(name="New Name").status_code == 200
            assert client.exists(key), "the replica missed the drop"
            sentinel.kill(master)
            broken = time.monotonic()
            sentinel.master()
    failed_over = time.monotonic()
    eventually(lambda: names(here, there) == {"New Name"} and on_sentinel.all_up(), 15)
    stale = time.monotonic() - failed_over
    record_property(
        "table: distributed",
        [
            "Redis failover undid a drop",
            f"master after {failed_over - broken:.1f} s",
            f"right everywhere {stale:.1f} s later",
        ],
    )
    assert stale < 5
    for _ in range(10):
        assert names(here, there) == {"New Name"}
    sentinel.restart(master)


def test_a_connection_that_a_node_drops_is_made_anew_and_nothing_else_happens(
    on_cluster: Service, cluster: RedisCluster
) -> None:
    eventually(on_cluster.all_up)
    people = [on_cluster.people().new() for _ in range(6)]
    api = on_cluster.apis[0]
    before = len(api.log_entries("redis_lost"))
    for _ in range(3):
        for person in people:
            assert person.profile().status_code == 200
        for node in cluster.nodes:
            with node.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
    for person in people:
        assert person.profile().status_code == 200
    assert len(api.log_entries("redis_lost")) == before


def test_a_cluster_that_loses_a_node_costs_time_only(
    on_cluster: Service, cluster: RedisCluster, record_property: RecordProperty
) -> None:
    eventually(on_cluster.all_up)
    people = [on_cluster.people().new() for _ in range(4)]
    for person in people:
        assert person.profile().status_code == 200
    cluster.kill(1)
    broken = time.monotonic()
    slowest = 0.0
    for number in range(6):
        for person in people:
            answer = person.update(name=f"Name {number}")
            assert answer.status_code == 200, answer.text
            seen = person.at(on_cluster.apis[number % 2].client).profile()
            slowest = max(slowest, seen.elapsed.total_seconds(), answer.elapsed.total_seconds())
            assert seen.json()["name"] == f"Name {number}"
    cluster.restart(1)
    cluster.wait_ok()
    returned = time.monotonic()
    eventually(on_cluster.all_up, 15)
    record_property(
        "table: distributed",
        [
            "Redis Cluster lost a node",
            f"down {returned - broken:.1f} s, slowest {slowest:.2f} s",
            f"used again {time.monotonic() - returned:.1f} s after",
        ],
    )
    for person in people:
        assert names(person, person.at(on_cluster.apis[1].client)) == {"Name 5"}


def test_who_is_cut_off_from_redis_leaves_nobody_with_old_answers(
    replica_set: MongoReplicaSet,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: RecordProperty,
) -> None:
    redis = RedisNode(tmp_path_factory.mktemp("redis"))
    database = replica_set.database_url("partitioned")
    try:
        with (
            redis,
            Proxy(redis.port) as line,
            Service(
                tmp_path_factory.mktemp("service"),
                database,
                [f"redis://{line.address}/0", redis.url],
                worker=False,
            ) as service,
        ):
            eventually(service.all_up)
            here = service.people().new()
            there = here.at(service.apis[1].client)
            longest = 0.0
            line.set(Mode.CUT)
            eventually(lambda: service.ready()[0]["redis"] == "down")
            for number in range(5):
                assert there.profile().status_code == 200
                assert here.update(name=f"Name {number}").status_code == 200
                changed = time.monotonic()
                assert names(here) == {f"Name {number}"}
                eventually(partial(have_name, f"Name {number}", there), 5)
                longest = max(longest, time.monotonic() - changed)
            other = here.device()
            assert other.at(there.client).profile().status_code == 200
            assert other.log_out().status_code == 200
            eventually(lambda: other.at(there.client).profile().status_code == 401, 5)
            assert [r["redis"] for r in service.ready()] == ["down", "up"]
            record_property(
                "table: distributed",
                [
                    "One process without Redis",
                    "the others' answers are old for at most",
                    f"{longest:.1f} s",
                ],
            )
            assert longest < 2.5
            assert service.apis[0].client.post(f"{USERS}/logout").status_code == 401
    finally:
        redis.kill()
