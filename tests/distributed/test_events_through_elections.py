"""MongoDB elects while two workers tell of payments: each event arrives, under one id, in the order of its payment."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from kernapay.core.clock import now
from kernapay.deliveries.payment_events import PaymentRow, draft_events
from kernapay.deliveries.signing import new_secret
from kernapay.payments.models import Payment
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import ReadOnlyRepository
from tests.actors import Actor, request_refund
from tests.aliases import Json, RecordProperty
from tests.clusters.nodes import RedisNode
from tests.clusters.topologies import MongoReplicaSet
from tests.deliveries.field import Field
from tests.deliveries.receiver import Received, Receiver, Reply
from tests.distributed.elections import primary_is_killed, primary_steps_down
from tests.distributed.load import SHOPPERS, Load, Observations, sandbox_payments
from tests.distributed.service import Service
from tests.stack import WORKER_BUGS, Worker
from tests.waiting import eventually

pytestmark = pytest.mark.soak

DATABASE = "elections"


class Payments(ReadOnlyRepository[Payment]):
    model = Payment


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoReplicaSet]:
    with MongoReplicaSet(tmp_path_factory.mktemp("mongo")) as cluster:
        yield cluster


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.answer = lambda _: Reply(delay=0.02)
        yield receiver


@contextmanager
def serving(
    replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, list[Worker]]]:
    home, url = tmp_path_factory.mktemp("service"), replica_set.database_url(DATABASE)
    with (
        RedisNode(tmp_path_factory.mktemp("redis")) as redis,
        Service(
            home, url, [redis.url], worker=False, DELIVERY_ALLOWED_HOSTS="127.0.0.1"
        ) as service,
        ExitStack() as stack,
    ):
        workers = [Worker(home / f"worker-{number}", service.env) for number in range(2)]
        for worker in workers:
            stack.callback(worker.kill)
            worker.start()
        eventually(service.all_up)
        yield service, workers


@contextmanager
def refunding(admin: Actor, seen: Observations) -> Iterator[None]:
    """Refund a part of each payment that was verified, twice: so it has six events."""
    stop = threading.Event()

    def refund() -> None:
        done: set[str] = set()
        while not stop.is_set():
            for reference in sorted(seen.verified - done):
                if stop.is_set():
                    return
                answers = [
                    request_refund(admin, {"referenceId": reference}, 100, f"{reference}-{number}")
                    for number in range(2)
                ]
                if all(answer.is_success for answer in answers):
                    done.add(reference)
            stop.wait(0.05)

    thread = threading.Thread(target=refund, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def has_ended(service: Service) -> bool:
    """Return whether every payment that was paid is settled, every refund is processed, and all of it is told."""
    paid = [p["order_id"] for p in sandbox_payments(service) if p["status"] != "failed"]
    changing: list[Json] = [
        {"razorpayOrderId": {"$in": paid}, "status": "pending"},
        {"refunds.status": {"$in": ["requested", "pending"]}},
        {"announce": {"$exists": True}},
    ]
    return service.store.payments.count_documents({"$or": changing}) == 0


def expected_events(url: str) -> dict[str, tuple[str, int]]:
    """Return the subject and the place of each event that the payments' histories make, by its id."""

    async def read() -> list[PaymentRow]:
        mongo = Mongo(url, threads=2)
        mongo.connect()
        try:
            return list(await Payments(mongo).select(PaymentRow))
        finally:
            mongo.close()

    marks = [draft.mark for row in asyncio.run(read()) for draft in draft_events(row, 0)]
    return {mark.id: (mark.subject, mark.seq) for mark in marks}


def in_order(received: list[Received], places: dict[str, tuple[str, int]]) -> bool:
    """Return whether the events of each payment came in its order, each when it came for the first time."""
    by_subject: defaultdict[str, list[int]] = defaultdict(list)
    for event_id in dict.fromkeys(each.event_id for each in received):
        subject, place = places[event_id]
        by_subject[subject].append(place)
    return all(found == sorted(found) for found in by_subject.values())


def test_no_event_is_lost_or_out_of_order_when_mongodb_elects(
    replica_set: MongoReplicaSet,
    receiver: Receiver,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: RecordProperty,
) -> None:
    secret = new_secret()
    with serving(replica_set, tmp_path_factory) as (service, workers):
        field = Field(service.store, now)
        endpoints = {
            field.endpoint(f"{receiver.url}/{number}", secret): f"/{number}" for number in range(3)
        }
        people = [service.people().new() for _ in range(SHOPPERS)]
        load = Load(service, people)
        with load.running() as seen, refunding(service.people().new("ADMIN"), seen):
            for outage in (primary_steps_down, primary_is_killed, primary_steps_down):
                seen.outage_began = time.monotonic()
                outage(replica_set, service)
                eventually(partial(load.served_since, time.monotonic()), 30)
                replica_set.wait_complete()
        assert (seen.wrong, seen.given_up) == ([], [])
        eventually(lambda: has_ended(service))
        places = expected_events(replica_set.database_url(DATABASE))
        assert len(places) > 2 * len(seen.created), "payments, and refunds"
        assert {row["_id"] for row in service.store.events.find({}, {"_id": 1})} == places.keys()
        all_done = {"done": len(places)}
        try:
            eventually(lambda: all(field.states(each) == all_done for each in endpoints))
        except AssertionError as late:
            late.add_note(f"states: {[field.states(each) for each in endpoints]}, not {all_done}")
            late.add_note(f"not delivered: {field.unsent()[:5]}")
            late.add_note("\n".join(worker.log.read_text()[-4000:] for worker in workers))
            raise
        arrived = {path: [r for r in receiver.received if r.path == path] for path in endpoints.values()}  # fmt: skip
        for worker in workers:
            log = worker.log.read_text()
            assert [bug for bug in WORKER_BUGS if bug in log] == []
    for received in arrived.values():
        assert {each.event_id for each in received} == places.keys()
        assert in_order(received, places)
    bodies = {(each.event_id, each.body) for each in receiver.received}
    assert len(bodies) == len(places), "an event that comes twice is the same"
    for each in receiver.received[::20]:
        each.verify(secret)
    twice = len(receiver.received) - 3 * len(places)
    record_property(
        "table: distributed",
        [
            "Events through three elections",
            f"{len(places)} events to 3 endpoints",
            f"lost 0, out of order 0, came twice {twice}",
        ],
    )
