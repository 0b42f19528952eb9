"""Customers who create, pay and verify while something breaks, and what was lost or doubled of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx

from tests import secrecy
from tests.actors import Actor, verify
from tests.aliases import Json, RecordProperty
from tests.distributed.service import Service
from tests.factories import payment_body
from tests.plain_http import NO_AUTHORITIES
from tests.waiting import eventually

SHOPPERS = 4
# A refused call is repeated for so long, also after the load has ended.
PATIENCE = 25.0
THINK = 0.05


class Attempt(NamedTuple):
    started: float
    ended: float
    served: bool


@dataclass
class Observations:
    """What the shoppers saw: their calls, and what the service acknowledged."""

    attempts: list[Attempt] = field(default_factory=list)
    created: dict[str, Json] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    outage_began: float = 0.0

    def refused(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if not attempt.served]

    def recovery(self) -> float:
        """Return the seconds from the outage until the last refusal was over."""
        return max([a.ended - self.outage_began for a in self.refused()], default=0.0)

    def slowest(self) -> float:
        return max(a.ended - a.started for a in self.attempts)


class Load:
    def __init__(self, service: Service, people: list[Actor]) -> None:
        self.service = service
        self.people = people
        self.seen = Observations()
        self._stop = threading.Event()
        self._give_up_at = float("inf")

    @contextmanager
    def running(self) -> Iterator[Observations]:
        threads = [
            threading.Thread(target=self._shop, args=(number, person), daemon=True)
            for number, person in enumerate(self.people)
        ]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: len(self.seen.verified) >= SHOPPERS)
            yield self.seen
        finally:
            self._give_up_at = time.monotonic() + PATIENCE
            self._stop.set()
            for thread in threads:
                thread.join(PATIENCE * 2)
        assert not any(thread.is_alive() for thread in threads)

    def served_since(self, moment: float, count: int = 30) -> bool:
        return sum(a.served and a.started > moment for a in self.seen.attempts) >= count

    def _shop(self, number: int, person: Actor) -> None:
        clients = [
            httpx.Client(
                base_url=api.url,
                trust_env=False,
                timeout=30,
                event_hooks=secrecy.hooks(),
                verify=NO_AUTHORITIES,
            )
            for api in self.service.apis
        ]
        turn = number
        try:
            while not self._stop.is_set():
                turn += 1
                self._buy(person.at(clients[turn % len(clients)]), turn)
                self._stop.wait(THINK)
        except Exception as error:
            self.seen.wrong.append(repr(error))
        finally:
            for client in clients:
                client.close()

    def _buy(self, person: Actor, turn: int) -> None:
        body = payment_body()
        answer = self._repeat(lambda: person.create(body))
        if answer is None:
            self.seen.given_up.append(body["idempotencyKey"])
            return
        payment = answer.json()["data"]
        self.seen.created[payment["referenceId"]] = {**payment, "key": body["idempotencyKey"]}
        checkout = self.service.sandbox.pay(payment["orderId"])
        if turn % 3 == 0:
            return  # the customer closed the page: the webhook has to do
        if self._repeat(lambda: verify(person.client, payment, checkout)) is not None:
            self.seen.verified.add(payment["referenceId"])

    def _repeat(self, call: Callable[[], httpx.Response]) -> httpx.Response | None:
        while time.monotonic() < self._give_up_at:
            started = time.monotonic()
            try:
                answer = call()
            except httpx.TransportError:
                answer = None
            served = answer is not None and answer.is_success
            self.seen.attempts.append(Attempt(started, time.monotonic(), served))
            if answer is not None and served:
                return answer
            if answer is not None and answer.status_code not in (502, 503, 504):
                self.seen.wrong.append(f"{answer.status_code} {answer.text}")
                return None
            time.sleep(0.1)
        return None


class Outcome(NamedTuple):
    lost: list[str]
    doubled: list[str]
    events: int
    surplus_orders: int


def compare(service: Service, seen: Observations) -> Outcome:
    """Compare what the shoppers saw with the database and with the gateway, once everything has arrived."""
    store, sandbox = service.store, service.sandbox

    def unsettled() -> list[str]:
        rows = store.payments.find({"razorpayOrderId": {"$in": _paid_orders(service)}})
        return [row["referenceId"] for row in rows if row["status"] != "success"]

    eventually(lambda: not unsettled(), 30)
    rows = {row["referenceId"]: row for row in store.payments.find()}
    lost = [
        reference
        for reference, payment in seen.created.items()
        if rows.get(reference, {}).get("razorpayOrderId") != payment["orderId"]
    ]
    lost += [reference for reference in seen.verified if rows[reference]["status"] != "success"]
    delivered = [d for d in sandbox.deliveries(count="100") if d["status"] == "delivered"]
    known = {row["eventId"] for row in store.webhook_events.find({}, {"eventId": 1})}
    lost += [d["event_id"] for d in delivered if d["event_id"] not in known]
    captured = Counter(
        p["order_id"] for p in sandbox_payments(service) if p["status"] == "captured"
    )
    keys = Counter(row["idempotencyKey"] for row in rows.values())
    doubled = [name for name, count in (captured + keys).items() if count > 1]
    doubled += [
        row["referenceId"]
        for row in rows.values()
        if sum(step["status"] == "success" for step in row["history"]) > 1
    ]
    orders = Counter(order["receipt"] for order in sandbox_orders(service))
    return Outcome(lost, doubled, len(known), sum(orders.values()) - len(orders))


def _paid_orders(service: Service) -> list[str]:
    return [p["order_id"] for p in sandbox_payments(service) if p["status"] == "captured"]


def sandbox_payments(service: Service) -> list[Json]:
    return _all(service, "/v1/payments")


def sandbox_orders(service: Service) -> list[Json]:
    return _all(service, "/v1/orders")


def _all(service: Service, path: str) -> list[Json]:
    found: list[Json] = []
    while page := service.sandbox.call("GET", path, count=100, skip=len(found))["items"]:
        found += page
    return found


def assert_nothing_lost_or_doubled(
    outage: str, service: Service, seen: Observations, record: RecordProperty
) -> None:
    """Compare, and enter a row into the table."""
    outcome = compare(service, seen)
    attempts, refused = len(seen.attempts), len(seen.refused())
    cells = {
        "calls": attempts,
        "refused": f"{refused / attempts:.1%}",
        "recovered": f"{seen.recovery():.1f} s",
        "slowest": f"{seen.slowest():.1f} s",
        "acknowledged": len(seen.created) + len(seen.verified),
        "lost": len(outcome.lost),
        "doubled": len(outcome.doubled),
        "surplus orders": outcome.surplus_orders,
    }
    row = "  ".join(f"{name} {value:<6}" for name, value in cells.items())
    record("table: outages under load", [f"{outage:<22}", row])
    assert (outcome.lost, outcome.doubled, seen.wrong, seen.given_up) == ([], [], [], [])
