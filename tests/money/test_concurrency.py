import asyncio
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TypeVar

import httpx
import pytest

from kernapay.bootstrap.services import Services
from tests.actors import USERS, Actor, data_of, send_event, verify
from tests.aliases import Json
from tests.factories import unique
from tests.money.shop import LONG_AGO, Shop, check_payments
from tests.stack import Sandbox, StartApi
from tests.waiting import eventually

ResultT = TypeVar("ResultT")


def at_once(*calls: Callable[[], ResultT]) -> list[ResultT]:
    """Make all calls at the same moment."""
    start = threading.Barrier(len(calls))

    def wait_and_call(call: Callable[[], ResultT]) -> ResultT:
        start.wait(20)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and_call, calls))


@pytest.mark.owasp(line="API6")
def test_two_hundred_clients_with_one_key_make_one_order(
    api: httpx.Client, start_api: StartApi, shop: Shop, user: Actor
) -> None:
    second = start_api()
    key = unique("key-")
    clients = itertools.cycle([user, user.at(second.client)])

    def create(actor: Actor) -> Json:
        def created() -> Json | None:
            answer = actor.create(idempotencyKey=key)
            assert answer.status_code in (200, 201, 503), answer.text
            return data_of(answer) if answer.status_code != 503 else None

        return eventually(created)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(create, itertools.islice(clients, 200)))

    assert len({str(answer) for answer in answers}) == 1
    assert len(shop.sandbox.orders(shop.receipt(answers[0]))) == 1
    assert shop.store.payments.count_documents({}) == 1
    assert shop.sandbox.order_count() == 1
    assert shop.differences() == []


SOURCES = ("verify", "webhook", "reconciliation")


@pytest.mark.parametrize("order", list(itertools.permutations(SOURCES)), ids="-".join)
@pytest.mark.owasp(line="API6")
def test_whoever_comes_first_a_payment_succeeds_once(
    order: tuple[str, ...],
    api: httpx.Client,
    shop: Shop,
    sandbox: Sandbox,
    user: Actor,
) -> None:
    """One after the other, then all at once."""
    for overlap in (False, True, True):
        payment = user.new_payment()
        checkout = sandbox.pay(payment["orderId"])
        event = settle_event(api, shop, checkout)
        settle: dict[str, Callable[[], object]] = {
            "verify": partial(verify, api, payment, checkout),
            "webhook": event,
            "reconciliation": shop.settle_later,
        }
        if overlap:
            at_once(*(settle[name] for name in order))
        else:
            for name in order:
                settle[name]()
        row = shop.assert_sound(payment)
        assert [step["status"] for step in row["history"]].count("success") == 1
        if not overlap:
            sources = {"verify": "checkout", "webhook": "webhook"}
            assert row["history"][1]["source"] == sources.get(order[0], order[0])
    assert {line["status"] for line in user.history().json()} == {"success"}


def settle_event(api: httpx.Client, shop: Shop, checkout: Json) -> Callable[[], object]:
    """Return a call that sends the capture's event, as the gateway would send it now."""
    facts = shop.sandbox.payment(checkout["razorpay_payment_id"])

    def send() -> object:
        answer = send_event(api, "payment.captured", payment=facts)
        assert answer.status_code == 200
        return answer

    return send


def test_eight_sweeps_at_once_look_each_payment_up_once(shop: Shop, user: Actor) -> None:
    payments = [user.new_payment() for _ in range(12)]
    for payment in payments:
        shop.sandbox.pay(payment["orderId"])
    shop.store.payments.update_many({}, {"$set": {"checkAt": LONG_AGO}})

    async def sweep(services: Services) -> None:
        await asyncio.gather(*(check_payments(services) for _ in range(8)))

    shop.work(sweep, timedelta(minutes=1), reconcile_after="1ms")

    for payment in payments:
        row = shop.assert_sound(payment)
        assert row["checks"] == 1


def test_a_login_survives_a_logout_at_the_same_time(shop: Shop, user: Actor) -> None:
    for _ in range(10):
        old = user.device()
        with ThreadPoolExecutor(1) as aside:
            new = aside.submit(user.device)
            old.log_out()
        assert old.profile().status_code == 401
        assert new.result().profile().status_code == 200
        assert old.call("POST", f"{USERS}/logout").status_code == 401
