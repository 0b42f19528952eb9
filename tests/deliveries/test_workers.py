"""Workers as processes: killed at any moment, two at a time, and beside an outage of the database."""

import random
import time
from typing import Any, Final
from zlib import crc32

import pytest

from kernapay.core.clock import now
from kernapay.deliveries.signing import new_secret
from tests.aliases import Store
from tests.clusters.proxy import Mode, Proxy
from tests.deliveries.field import Field
from tests.deliveries.receiver import Received, Receiver, Reply
from tests.stack import WORKER_BUGS, StartWorker
from tests.waiting import eventually

pytestmark = pytest.mark.long

ALLOWED = {"DELIVERY_ALLOWED_HOSTS": "127.0.0.1"}
# What these workers find out about the payments of other tests is not for the endpoints here.
DEAF: Final[dict[str, Any]] = {"providers": ["nobody"]}


@pytest.fixture
def field(store: Store) -> Field:
    field = Field(store, now)
    field.clear()
    return field


def firsts_of(receiver: Receiver, events: list[str]) -> list[str]:
    """Return these events in the order in which each came for the first time."""
    return list(dict.fromkeys(each for each in receiver.ids() if each in events))


def test_two_workers_that_are_killed_at_any_moment_lose_nothing(
    field: Field, receiver: Receiver, start_worker: StartWorker
) -> None:
    random.seed(13)
    refused: set[str] = set()

    def answer(received: Received) -> Reply:
        """Refuse one event in twenty, the first time that it comes: after a second time there is a long pause."""
        is_first = received.event_id not in refused
        if is_first and crc32(received.event_id.encode()) % 20 == 0:
            refused.add(received.event_id)
            return Reply(503)
        return Reply(delay=0.01)

    receiver.answer = answer
    secret = new_secret()
    endpoints = [field.endpoint(f"{receiver.url}/{number}", secret, **DEAF) for number in range(4)]
    workers = [start_worker(**ALLOWED) for _ in range(2)]
    sent: dict[str, list[list[str]]] = {each: [] for each in endpoints}
    for round_number in range(6):
        for endpoint in endpoints:
            sent[endpoint] += [field.send(endpoint, 4) for _ in range(15)]
        time.sleep(random.uniform(0.3, 1.2))
        victim = workers[round_number % 2]
        victim.kill()
        victim.start()
    total = {"done": 6 * 15 * 4}

    def has_all(endpoint: str) -> bool:
        # On a busy machine, an attempt may be cut off by its deadline: a second failure, after which its payment's
        # other events wait for minutes too.
        field.end_pauses(endpoint)
        return field.states(endpoint) == total

    try:
        eventually(lambda: all(has_all(each) for each in endpoints))
    except AssertionError as late:
        late.add_note(f"not delivered: {field.unsent()}")
        late.add_note("\n".join(worker.log.read_text()[-3000:] for worker in workers))
        raise
    for received in receiver.received[::50]:
        received.verify(secret)
    arrived = receiver.ids()
    assert len(set(arrived)) == 4 * 360, "each has an id of its own"
    for endpoint, payments in sent.items():
        for events in payments:
            rows = [field.delivery(each, endpoint) for each in events]
            assert firsts_of(receiver, events) == events, rows
    for worker in workers:
        log = worker.log.read_text()
        assert [bug for bug in WORKER_BUGS if bug in log] == []


def test_a_worker_that_is_stopped_leaves_its_endpoints_to_the_others_at_once(
    field: Field, receiver: Receiver, start_worker: StartWorker
) -> None:
    endpoint = field.endpoint(receiver.url, **DEAF)
    first = start_worker(**ALLOWED)
    field.send(endpoint)
    eventually(lambda: field.states(endpoint) == {"done": 1})
    second = start_worker(**ALLOWED)
    first.stop(20)
    begin = time.monotonic()
    field.send(endpoint)
    eventually(lambda: field.states(endpoint) == {"done": 2})
    assert time.monotonic() - begin < 2.5
    assert second.is_running
    assert "sweep_cut_off" not in first.log.read_text()


def test_what_is_on_its_way_ends_before_a_worker_stops(
    field: Field, receiver: Receiver, start_worker: StartWorker
) -> None:
    receiver.answer = lambda _: Reply(delay=0.8)
    endpoint = field.endpoint(receiver.url, **DEAF)
    worker = start_worker(**ALLOWED)
    (event,) = field.send(endpoint)
    eventually(lambda: receiver.received)
    worker.stop(20)
    assert field.delivery(event, endpoint)["state"] == "done"
    assert len(receiver.received) == 1


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.HANG])
def test_an_outage_of_the_database_delays_and_loses_nothing(
    mode: Mode,
    field: Field,
    receiver: Receiver,
    start_worker: StartWorker,
    mongo_proxy: Proxy,
    store: Store,
) -> None:
    receiver.answer = lambda _: Reply(delay=0.02)
    endpoint = field.endpoint(receiver.url, **DEAF)
    start_worker(**ALLOWED, MONGODB_URL=mongo_proxy.mongodb_url(store.name))
    events = [field.send(endpoint, 3) for _ in range(40)]
    eventually(lambda: len(receiver.received) > 10)
    mongo_proxy.set(mode)
    time.sleep(4)
    mongo_proxy.set(Mode.PASS)
    eventually(lambda: field.states(endpoint) == {"done": 120})
    for each in events:
        assert firsts_of(receiver, each) == each
