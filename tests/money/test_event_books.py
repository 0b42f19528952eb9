"""A shop that knows of its money by events alone: its books agree with KernaPay's, and with the gateway's."""

import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from kernapay.core.clock import now
from kernapay.deliveries.signing import new_secret
from tests.actors import PAYMENTS, Actor
from tests.aliases import Json
from tests.deliveries.field import Field
from tests.deliveries.receiver import Receiver
from tests.money.disputes import raise_dispute, request_refund, resolve
from tests.money.shop import Shop
from tests.stack import WORKER_BUGS, Api, StartWorker, Worker
from tests.waiting import eventually

pytestmark = pytest.mark.soak

SALES = 40


@contextmanager
def killing(workers: Sequence[Worker]) -> Iterator[None]:
    """Kill one worker after the other, and start it again."""
    stop = threading.Event()

    def kill() -> None:
        number = 0
        while not stop.wait(0.7):
            victim = workers[number % len(workers)]
            victim.kill()
            victim.start()
            number += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def sell(shop: Shop, user: Actor, admin: Actor, chance: random.Random) -> str:
    """Make a sale, and let one of the things happen to it that happen to sales; return its reference."""
    how = chance.choice(["paid", "authorized", "failed", "cancelled", "refunded", "disputed"])
    if how in ("authorized", "failed", "cancelled"):
        payment = user.new_payment()
        if how == "cancelled":
            path = f"{PAYMENTS}/{payment['referenceId']}/cancel"
            assert user.call("POST", path).status_code == 200
        else:
            shop.sandbox.pay(payment["orderId"], "failure" if how == "failed" else how)
        return str(payment["referenceId"])
    payment, checkout = user.buy(shop.sandbox)
    payment_id = checkout["razorpay_payment_id"]
    if how == "refunded":
        for amount in chance.sample([1_000, 3_333, 12_345], 2):
            if chance.random() < 0.3:
                shop.sandbox.refund(payment_id, amount)  # in the dashboard
            else:
                assert request_refund(admin, payment, amount).status_code == 201
    elif how == "disputed":
        dispute = raise_dispute(shop, payment_id, amount=chance.choice([5_000, 50_000]))
        resolve(shop, dispute, chance.choice(["won", "lost"]))
    return str(payment["referenceId"])


def books_of_events(receiver: Receiver) -> dict[str, Json]:
    """Return what the events say of each payment: an id counts once, and the latest of each thing is true."""
    latest: dict[tuple[str, str, str], Json] = {}
    for event in {each.event_id: json.loads(each.body) for each in receiver.received}.values():
        kind, data = event["type"].split(".")[0], event["data"]
        if kind not in ("payment", "refund", "dispute"):
            continue
        name = data.get("refundId") or data.get("disputeId") or ""
        place = (data["referenceId"], kind, str(data.get("_id") or name))
        if place not in latest or latest[place]["sequence"] < data["sequence"]:
            latest[place] = data
    books: dict[str, Json] = defaultdict(lambda: {"refunded": 0, "lost": 0})
    for (reference, kind, _), data in latest.items():
        book = books[reference]
        if kind == "payment":
            book |= {"status": data["status"], "paid": data["amountPaid"]}
        elif kind == "refund" and data["status"] == "processed":
            book["refunded"] += data["amount"]
        elif kind == "dispute":
            book["lost"] += data["lost"]
    return dict(books)


def books_of_kernapay(shop: Shop, admin: Actor, references: Sequence[str]) -> dict[str, Json]:
    seen = {reference: admin.seen(reference) for reference in references}
    return {
        reference: {
            # A failed attempt is no event: the payer may try again until the sale has ended.
            "status": each["status"] if each["final"] else "pending",
            "paid": each["amountPaid"],
            "refunded": each["amountRefunded"],
            "lost": sum(dispute["lost"] for dispute in shop.row(each).get("disputes", [])),
        }
        for reference, each in seen.items()
    }


def test_books_of_events_alone_agree_to_the_paisa_though_workers_are_killed(
    shop: Shop, user: Actor, admin: Actor, api_server: Api, start_worker: StartWorker
) -> None:
    chance = random.Random(13)
    field = Field(shop.store, now)
    field.clear()
    shop.sandbox.deliver_to(api_server.url)
    secret = new_secret()
    with Receiver() as receiver:
        endpoint = field.endpoint(receiver.url, secret)
        workers = [start_worker(DELIVERY_ALLOWED_HOSTS="127.0.0.1") for _ in range(2)]
        with killing(workers):
            references = [sell(shop, user, admin, chance) for _ in range(SALES)]

        def is_told() -> bool:
            field.end_pauses(endpoint)
            marked = shop.store.payments.count_documents({"announce": {"$exists": True}})
            open_events = shop.store.webhook_events.count_documents({"status": "pending"})
            return not marked and not open_events and field.states(endpoint).keys() == {"done"}

        eventually(is_told)
        assert books_of_events(receiver) == books_of_kernapay(shop, admin, references)
        for received in receiver.received[::10]:
            received.verify(secret)
    field.clear()
    kept = books_of_events(receiver).values()
    assert {book["status"] for book in kept} == {"success", "pending", "failed"}
    assert sum(book["refunded"] for book in kept) > 0 < sum(book["lost"] for book in kept)
    for worker in workers:
        log = worker.log.read_text()
        assert [bug for bug in WORKER_BUGS if bug in log] == []
    assert shop.differences() == []
