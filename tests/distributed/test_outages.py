"""MongoDB's nodes and the gateway fail under customers who create, pay and verify: nothing is lost or doubled."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from bson import ObjectId
from pymongo import MongoClient, WriteConcern

from kernapay.core.clock import now
from kernapay.payments.references import new_reference_id
from tests.actors import PAYMENTS, Actor
from tests.aliases import Json, RecordProperty
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode
from tests.clusters.topologies import MongoReplicaSet
from tests.distributed.elections import primary_is_killed, primary_steps_down
from tests.distributed.load import SHOPPERS, Load, assert_nothing_lost_or_doubled
from tests.distributed.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.long

Outage = Callable[[MongoReplicaSet, Service], None]


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoReplicaSet]:
    with MongoReplicaSet(tmp_path_factory.mktemp("mongo"), proxied=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def service(
    replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    home, database = tmp_path_factory.mktemp("service"), replica_set.database_url("outages")
    with (
        RedisNode(tmp_path_factory.mktemp("redis")) as redis,
        Service(home, database, [redis.url] * 2) as service,
    ):
        yield service


@pytest.fixture(scope="module")
def shoppers(service: Service) -> list[Actor]:
    return [service.people().new() for _ in range(SHOPPERS)]


@contextmanager
def _cut(replica_set: MongoReplicaSet, mode: Mode) -> Iterator[int]:
    old = replica_set.primary()
    replica_set.proxies[old].set(mode)
    try:
        yield old
    finally:
        replica_set.proxies[old].set(Mode.PASS)


def primary_is_cut_off(replica_set: MongoReplicaSet, service: Service) -> None:
    with _cut(replica_set, Mode.CUT) as old:
        replica_set.primary(other_than=old)


def primary_hangs(replica_set: MongoReplicaSet, service: Service) -> None:
    with _cut(replica_set, Mode.HANG) as old:
        replica_set.primary(other_than=old)


def secondary_is_cut_off(replica_set: MongoReplicaSet, service: Service) -> None:
    index = next(i for i in range(3) if i != replica_set.primary())
    replica_set.proxies[index].set(Mode.CUT)
    time.sleep(1)  # the length of the outage
    replica_set.proxies[index].set(Mode.PASS)


def gateway_hangs(replica_set: MongoReplicaSet, service: Service) -> None:
    hang = {"route": "/v1/*", "options": {"seconds": 3}}  # past RAZORPAY_TIMEOUT
    fault = service.sandbox.fault("delay", times=8, **hang)
    eventually(lambda: service.sandbox.hits(fault) >= 8, 20)


def gateway_loses_answers(replica_set: MongoReplicaSet, service: Service) -> None:
    fault = service.sandbox.fault("answer_lost", times=20, route="/v1/*")
    eventually(lambda: service.sandbox.hits(fault) >= 20, 20)


@pytest.mark.parametrize(
    "outage",
    [
        primary_steps_down,
        primary_is_killed,
        primary_is_cut_off,
        pytest.param(primary_hangs, marks=pytest.mark.soak),
        pytest.param(secondary_is_cut_off, marks=pytest.mark.soak),
        gateway_hangs,
        pytest.param(gateway_loses_answers, marks=pytest.mark.soak),
    ],
    ids=lambda outage: outage.__name__,
)
def test_nothing_is_lost_or_doubled_when(
    outage: Outage,
    replica_set: MongoReplicaSet,
    service: Service,
    shoppers: list[Actor],
    record_property: RecordProperty,
) -> None:
    eventually(service.all_up, 20)
    load = Load(service, shoppers)
    with load.running() as seen:
        seen.outage_began = time.monotonic()
        outage(replica_set, service)
        back = time.monotonic()
        eventually(lambda: load.served_since(back), 20)
    assert_nothing_lost_or_doubled(
        outage.__name__.replace("_", " "), service, seen, record_property
    )
    replica_set.wait_complete()


@contextmanager
def _nothing_reaches_a_majority(replica_set: MongoReplicaSet) -> Iterator[MongoClient[Json]]:
    """Yield a client of the primary. What it writes without waiting, a majority has after the block."""
    primary = replica_set.nodes[replica_set.primary()]
    with ExitStack() as stack:
        for node in replica_set.nodes:
            if node is not primary:
                client = stack.enter_context(node.client())
                client.admin.command("fsync", lock=True)
                stack.callback(client.admin.command, "fsyncUnlock")
        yield stack.enter_context(primary.client())


def test_a_payment_that_a_majority_may_not_have_yet_is_not_called_missing(
    replica_set: MongoReplicaSet, service: Service, shoppers: list[Actor]
) -> None:
    """So it is just after an election: the new primary has what was acknowledged, and does not know it yet."""
    eventually(service.all_up, 20)
    assert shoppers[0].create().status_code == 201
    unsure, unknown = (new_reference_id(shoppers[0].id, now()) for _ in range(2))
    unique = ("referenceId", "orderId", "razorpayOrderId", "idempotencyKey", "keyHash")
    own = {"_id": ObjectId(), **dict.fromkeys(unique, unsure)}
    copy = {**(service.store.payments.find_one() or {}), **own}
    try:
        with _nothing_reaches_a_majority(replica_set) as primary:
            weakly = primary[service.store.name].with_options(write_concern=WriteConcern(1))
            weakly.payments.insert_one(copy)
            for path in (PAYMENTS, f"{PAYMENTS}/status"):
                answer = shoppers[0].call("GET", f"{path}/{unsure}")
                assert (answer.status_code, answer.headers.get("retry-after")) == (503, "1")
                assert shoppers[0].call("GET", f"{path}/{unknown}").status_code == 404
        status = f"{PAYMENTS}/status/{unsure}"
        eventually(lambda: shoppers[0].call("GET", status).status_code == 200, 10)
    finally:
        service.store.payments.delete_one(own)


def test_afterwards_the_books_agree_with_the_gateways(service: Service) -> None:
    eventually(service.all_up, 20)
    service.assert_books_agree()
