"""Redis fails under customers who create, pay and verify: nothing is lost or doubled, and no answer stays old."""

import time
from collections.abc import Callable, Iterator

import pytest

from kernapay.devstack.servers import MongoServer
from tests.actors import Actor
from tests.aliases import RecordProperty
from tests.clusters.topologies import RedisSentinel
from tests.distributed.load import SHOPPERS, Load, assert_nothing_lost_or_doubled
from tests.distributed.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.long

Outage = Callable[[RedisSentinel], None]


@pytest.fixture(scope="module")
def service(
    mongo_server: MongoServer, sentinel: RedisSentinel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    home, database = tmp_path_factory.mktemp("service"), mongo_server.database_url("redis_outages")
    with Service(home, database, [sentinel.url] * 2) as service:
        yield service


@pytest.fixture(scope="module")
def shoppers(service: Service) -> list[Actor]:
    return [service.people().new() for _ in range(SHOPPERS)]


def redis_is_flushed(sentinel: RedisSentinel) -> None:
    for _ in range(5):
        with sentinel.nodes[sentinel.master()].client() as client:
            client.flushall()
        time.sleep(0.1)  # between two outages, not for one to pass


def redis_fails_over(sentinel: RedisSentinel) -> None:
    old = sentinel.master()
    sentinel.failover()
    sentinel.restart(old)


def redis_is_stopped(sentinel: RedisSentinel) -> None:
    for index in range(len(sentinel.nodes)):
        sentinel.kill(index)
    time.sleep(1)  # the length of the outage
    for index in range(len(sentinel.nodes)):
        sentinel.restart(index)
    sentinel.master()


@pytest.mark.parametrize(
    "outage",
    [redis_is_flushed, redis_fails_over, redis_is_stopped],
    ids=lambda outage: outage.__name__,
)
def test_nothing_is_lost_doubled_or_refused_when(
    outage: Outage,
    sentinel: RedisSentinel,
    service: Service,
    shoppers: list[Actor],
    record_property: RecordProperty,
) -> None:
    eventually(service.all_up, 20)
    load = Load(service, shoppers)
    with load.running() as seen:
        seen.outage_began = time.monotonic()
        outage(sentinel)
        back = time.monotonic()
        eventually(lambda: load.served_since(back), 20)
    assert_nothing_lost_or_doubled(
        outage.__name__.replace("_", " "), service, seen, record_property
    )
    assert not seen.refused(), "without Redis, answers are slower and none is refused"
    eventually(service.all_up, 20)
    rows = service.store.payments.find()
    expected = {row["referenceId"]: row["status"] for row in rows}
    for person in shoppers:
        for api in service.apis:
            listed = person.at(api.client).history(count=100).json()
            assert listed
            assert all(expected[line["referenceId"]] == line["status"] for line in listed)


def test_afterwards_the_books_agree_with_the_gateways(service: Service) -> None:
    service.assert_books_agree()
