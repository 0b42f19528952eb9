"""Buy, pay and refund for minutes under faults and sudden deaths, then compare the books.

`python -m tests.benchmarks.soak --minutes 10`; exit code 0 when nothing was lost or doubled and the books agree.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import httpx

from kernapay.devstack.servers import MongoServer
from tests.actors import PAYMENTS, Actor, People, verify
from tests.aliases import Json
from tests.clusters.nodes import RedisNode
from tests.command_line import run_command
from tests.databases import open_migrated_store
from tests.environment import api_environment
from tests.factories import unique
from tests.stack import Api, Sandbox, SandboxServer, Worker
from tests.waiting import eventually

FAULTS = (
    "answer_lost",
    "delay",
    "reset",
    "rate_limit",
    "server_error",
    "bad_gateway_html",
    "wrong_amount",
    "webhook_duplicate",
    "webhook_reorder",
    "webhook_delay",
    "webhook_drop",
    "late_authorization",
    "refund_pending",
    "refund_fails_later",
    "low_balance",
)


_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Soak:
    """The stack, the people, and what the service has acknowledged to them."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        mongo = stack.enter_context(MongoServer(home / "mongo"))
        redis = stack.enter_context(RedisNode(home / "redis"))
        gateway = stack.enter_context(SandboxServer(home))
        self.sandbox = stack.enter_context(Sandbox(gateway.url))
        url = mongo.database_url("soak")
        self.store = stack.enter_context(open_migrated_store(url))
        self.env = api_environment(
            url, redis.url, gateway.url, home, RECONCILE_AFTER="3s", RECONCILE_RATE="200"
        )
        self.apis = [Api(home / f"api{n}", self.env) for n in range(2)]
        self.worker = Worker(home, self.env)
        stack.callback(self.worker.kill)
        for api in self.apis:
            stack.callback(api.kill)
            api.launch()
        for api in self.apis:
            api.wait()
            self.sandbox.deliver_to(api.url)
        self.worker.launch()
        people = People(self.apis[0].client, self.store)
        self.users = [people.new() for _ in range(4)]
        self.admin = people.new("ADMIN")
        self.counts: Counter[str] = Counter()
        self.created: dict[str, Json] = {}
        self.verified: set[str] = set()
        self.refunded: dict[str, int] = {}

    def answered(self, call: Callable[[Api], httpx.Response]) -> httpx.Response | None:
        """Repeat until there is an answer that is no outage; None after half a minute."""
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            with suppress(httpx.HTTPError):
                answer = call(random.choice(self.apis))
                if answer.status_code < 500:
                    return answer
            self.counts["repeated"] += 1
            time.sleep(random.uniform(0.05, 0.5))
        self.counts["without an answer"] += 1
        return None

    def buy(self, until: float) -> None:
        while time.monotonic() < until:
            with suppress(httpx.HTTPError):
                self._buy(random.choice(self.users))

    def _buy(self, user: Actor) -> None:
        key = unique("key-")
        created = self.answered(lambda api: user.at(api.client).create(idempotencyKey=key))
        if created is None:
            return
        assert created.status_code in (200, 201), created.text
        payment = created.json()["data"]
        self.created[payment["referenceId"]] = payment
        outcome = random.choice(["success", "success", "success", "authorized", "failure", None])
        if outcome is None:
            return
        with suppress(AssertionError):  # the customer's side has its outages as well
            checkout = self.sandbox.pay(payment["orderId"], outcome)
            self.counts[f"paid: {outcome}"] += 1
            if "razorpay_signature" in checkout and random.random() < 0.7:
                answer = self.answered(lambda api: verify(api.client, payment, checkout))
                if answer is not None and answer.status_code == 200:
                    self.verified.add(payment["referenceId"])
                    if random.random() < 0.4:
                        self._refund(payment)

    def _refund(self, payment: Json) -> None:
        for _ in range(random.choice([1, 1, 2, 3])):
            body = {"amount": random.choice([1000, 20000, 50000]), "idempotencyKey": unique("r-")}
            path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
            answer = self.answered(partial(self._ask_for_refund, path, body))
            if answer is not None and answer.status_code in (200, 201):
                made = answer.json()["data"]
                self.refunded[made["refundId"]] = made["amount"]

    def _ask_for_refund(self, path: str, body: Json, api: Api) -> httpx.Response:
        return self.admin.at(api.client).call("POST", path, json=body)

    def make_trouble(self, until: float, *, deaths: bool) -> None:
        while time.monotonic() < until:
            with suppress(AssertionError, httpx.HTTPError):
                self.sandbox.fault(random.choice(FAULTS), times=random.randint(1, 3))
                self.counts["faults"] += 1
            if deaths and random.random() < 0.05:
                victim = random.choice([self.apis[0].process, self.apis[1].process, self.worker])
                victim.kill()
                victim.launch()
                self.counts["killed with SIGKILL"] += 1
            time.sleep(0.4)

    def settle(self) -> None:
        """Disarm the faults, advance the clock, and wait until nothing is open."""
        self.sandbox.call("DELETE", "/_sandbox/faults")
        for process in (*(api.process for api in self.apis), self.worker):
            if not process.is_running:
                process.launch()
        for _ in range(10):
            self.sandbox.advance(120)
            time.sleep(0.5)
        past = {"$set": {"nextAt": _LONG_AGO}}
        self.store.webhook_events.update_many({"status": "pending"}, past)
        self.store.payments.update_many({}, {"$set": {"checkAt": _LONG_AGO}})
        self.store.payments.update_many(
            {"refunds.leaseUntil": {"$exists": True}},
            {"$set": {"refunds.$[].leaseUntil": _LONG_AGO}},
        )
        eventually(lambda: not self._open(), 120)

    def _open(self) -> int:
        due = {"checkAt": _LONG_AGO, "status": {"$in": ["pending", "failed"]}}
        refunds = {"refunds.status": "requested"}
        events = self.store.webhook_events.count_documents(
            {"status": "pending", "nextAt": _LONG_AGO}
        )
        return events + sum(self.store.payments.count_documents(each) for each in (due, refunds))

    def judge(self) -> dict[str, int]:
        books = self.sandbox.call("GET", "/_sandbox/snapshot")
        rows = {row["referenceId"]: row for row in self.store.payments.find()}
        paid = [row for row in rows.values() if row["status"] in ("success", "refunded")]
        receipts = Counter(order["receipt"] for order in books["order"])
        captures = Counter(p["order_id"] for p in books["payment"] if p["captured"])
        refund_receipts = Counter(r["receipt"] for r in books["refund"] if r["receipt"])
        known = {r["id"] for r in books["refund"]}
        return {
            "creates acknowledged, lost": sum(reference not in rows for reference in self.created),
            "verifies acknowledged, lost": len(self.verified - {r["referenceId"] for r in paid}),
            "refunds acknowledged, lost": len(self.refunded.keys() - known),
            "captures without success": len(
                captures.keys() - {row["razorpayOrderId"] for row in paid}
            ),
            "successes without capture": sum(
                row["razorpayOrderId"] not in captures for row in paid
            ),
            "orders doubled": sum(n > 1 for n in receipts.values()),
            "captures doubled": sum(n > 1 for n in captures.values()),
            "refunds doubled": sum(n > 1 for n in refund_receipts.values()),
            "refunded beyond what was paid": sum(
                row.get("amountRefunded", 0) > row["amount"] for row in rows.values()
            ),
        }


@contextmanager
def at_work(home: Path) -> Iterator[Soak]:
    with ExitStack() as stack:
        yield Soak(home, stack)


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=5.0, show_default=True)
@click.option("--clients", type=click.IntRange(1, 64), default=6, show_default=True)
@click.option("--seed", type=int, help="For the choice of troubles.")
@click.option("--deaths/--no-deaths", default=True, show_default=True)
def main(minutes: float, clients: int, seed: int | None, deaths: bool) -> None:
    """Run the soak."""
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="kernapay-soak-") as home, at_work(Path(home)) as soak:
        until = time.monotonic() + minutes * 60
        with ThreadPoolExecutor(clients + 1) as threads:
            work = [threads.submit(soak.buy, until) for _ in range(clients)]
            work.append(threads.submit(soak.make_trouble, until, deaths=deaths))
            for each in work:
                each.result()
        soak.settle()
        for name, number in {**soak.counts, "created": len(soak.created)}.items():
            click.echo(f"{number:>8}  {name}")
        verdict = soak.judge()
        for name, number in verdict.items():
            click.echo(f"{number:>8}  {name}")
        audit = run_command("audit", env=soak.env, timeout=600)
        click.echo(audit.stdout + audit.stderr)
    sys.exit(1 if any(verdict.values()) or audit.returncode else 0)


if __name__ == "__main__":
    main()
