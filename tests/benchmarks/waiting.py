"""Whether payments take longer while deliveries wait: `python -m tests.benchmarks.deliveries --waiting 100000`.

People create payments, verify a half of them and learn of the others by webhooks, with a worker beside them: in turns
without waiting deliveries and with all that endpoints that hang or refuse connections have left.
"""

import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any, Final

import click
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.devstack.ports import HOST
from kernapay.devstack.servers import MongoServer
from tests.actors import Actor, People, send_event, verify
from tests.aliases import Json, Store
from tests.benchmarks.processes import cpu_of, only_child_of
from tests.clusters.nodes import RedisNode
from tests.databases import open_migrated_store
from tests.deliveries.field import Field
from tests.deliveries.receiver import Receiver
from tests.environment import api_environment
from tests.factories import gateway_payment
from tests.stack import Api, Sandbox, SandboxServer, Worker

_ROUNDS: Final = 3
_PEOPLE: Final = 4
_PAYMENTS: Final = 40
"""Of each of the people, in a round."""
_CHUNK: Final = 5000
_DEAD: Final = 5
# What is measured is as noisy as the machine.
_MOST: Final = 1.15
_SETTLED_SECONDS: Final = 5.0


@contextmanager
def _hanging() -> Iterator[str]:
    """Take connections, and say nothing."""
    with socket.create_server((HOST, 0), backlog=1000) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}"


def _refusing() -> str:
    with socket.create_server((HOST, 0)) as listener:
        return f"http://{HOST}:{listener.getsockname()[1]}"


def _fill(store: Store, endpoints: list[str], count: int) -> None:
    """Store so many deliveries that wait for these endpoints, each of an event of its own."""
    at = now()
    turns = cycle(endpoints)
    for start in range(0, count, _CHUNK):
        sources = [ObjectId() for _ in range(min(_CHUNK, count - start))]
        common = {"type": "payment.succeeded", "seq": 0, "createdAt": at}
        events: list[Json] = [
            {**common, "_id": f"evt_{each}_0_0a1b2c3d", "subject": f"PAY_{each}", "at": at}
            for each in sources
        ]
        due = {**common, "state": "pending", "nextAt": at, "attempts": 0}
        store.deliveries.insert_many(
            [
                {**due, "_id": f"{each['_id']}:{endpoint}", "event": each["_id"]}
                | {"subject": each["subject"], "endpoint": endpoint}
                for each, endpoint in zip(events, islice(turns, len(events)), strict=True)
            ]
        )
        store.events.insert_many([{**each, "bodies": {"1": b"x" * 1000}} for each in events])


def _empty(store: Store, endpoints: list[str]) -> None:
    store.deliveries.delete_many({"endpoint": {"$in": endpoints}})
    store.events.delete_many({})


def _settle(store: Store) -> None:
    """Let MongoDB write out what was changed: it would do so in the middle of a round."""
    store.client.admin.command("fsync")
    time.sleep(_SETTLED_SECONDS)


class Times:
    """How long calls took, in milliseconds, by their kind."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, kind: str, call: Callable[[], Any]) -> Any:
        begin = perf_counter()
        answer = call()
        took = (perf_counter() - begin) * 1000
        assert answer.is_success, answer.text
        with self._lock:
            self.of[kind].append(took)
        return answer


def _shop(person: Actor, sandbox: Sandbox, times: Times) -> None:
    for number in range(_PAYMENTS):
        payment = times.take("create", person.create).json()["data"]
        if number % 2:
            checkout = sandbox.pay(payment["orderId"])
            times.take("verify", partial(verify, person.client, payment, checkout))
        else:
            paid = gateway_payment(payment["orderId"])
            call = partial(send_event, person.client, "payment.captured", payment=paid)
            times.take("webhook", call)


def _round(
    people: list[Actor], sandbox: Sandbox, times: Times, pids: dict[str, int]
) -> dict[str, float]:
    """Return the CPU milliseconds of each process for a payment."""
    before = {name: cpu_of(pid) for name, pid in pids.items()}
    with ThreadPoolExecutor(len(people)) as pool:
        for done in [pool.submit(_shop, person, sandbox, times) for person in people]:
            done.result()
    payments = len(people) * _PAYMENTS
    return {name: (cpu_of(pid) - before[name]) * 1000 / payments for name, pid in pids.items()}


def _percentile(times: list[float], share: int) -> float:
    return sorted(times)[len(times) * share // 100]


def _compare(what: str, empty: float, full: float) -> float:
    ratio = full / empty
    click.echo(f"  {what:<16}{empty:8.1f} ->{full:8.1f} ms  x {ratio:.2f}")
    return ratio


def compare_payments(home: Path, count: int) -> bool:
    """Print what payments take without and with so many waiting deliveries. Return whether it is the same."""
    with ExitStack() as stack:
        mongo = stack.enter_context(MongoServer(home / "mongo"))
        redis = stack.enter_context(RedisNode(home / "redis"))
        gateway = stack.enter_context(SandboxServer(home))
        sandbox = stack.enter_context(Sandbox(gateway.url))
        receiver = stack.enter_context(Receiver())
        url = mongo.database_url("waiting")
        store = stack.enter_context(open_migrated_store(url))
        env = api_environment(url, redis.url, gateway.url, home, DELIVERY_ALLOWED_HOSTS=HOST)
        api = stack.enter_context(Api(home, env))
        field = Field(store, now)
        field.endpoint(receiver.url)
        # They want events of a kind that does not come: what waits for them is what was stored.
        other: dict[str, Any] = {"types": ["settlement.processed"]}
        dead = [
            field.endpoint(stack.enter_context(_hanging()) if n % 2 else _refusing(), **other)
            for n in range(_DEAD)
        ]
        worker = Worker(home / "worker", env)
        worker.start()
        stack.callback(worker.kill)
        people = [People(api.client, store).new() for _ in range(_PEOPLE)]
        assert api.process.pid is not None
        assert worker.pid is not None
        assert mongo.pid is not None
        pids = {"API": only_child_of(api.process.pid), "worker": worker.pid, "mongod": mongo.pid}
        _round(people, sandbox, Times(), pids)
        empty, full = Times(), Times()
        cpu: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for _ in range(_ROUNDS):
            _empty(store, dead)
            _settle(store)
            cpu[False].append(_round(people, sandbox, empty, pids))
            _fill(store, dead, count)
            _settle(store)
            cpu[True].append(_round(people, sandbox, full, pids))
    click.echo(f"without -> with {count} deliveries that wait for {_DEAD} endpoints:")
    ratios = []
    for kind in sorted(empty.of):
        p50, _ = (
            _compare(
                f"{kind}, p{share}",
                _percentile(empty.of[kind], share),
                _percentile(full.of[kind], share),
            )
            for share in (50, 99)
        )
        ratios.append(p50)
    click.echo("CPU for a payment, with all that the process does beside it:")
    for name in pids:
        before, after = (mean(each[name] for each in cpu[is_full]) for is_full in (False, True))
        ratio = _compare(name, before, after)
        if name == "API":
            ratios.append(ratio)
    return max(ratios) <= _MOST
