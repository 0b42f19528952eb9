"""A process dies by SIGKILL between two steps; another goes on, and nothing is lost or doubled."""

from collections.abc import Callable
from functools import partial

import httpx
import pytest

from tests.actors import Actor, send_event, status, verify
from tests.aliases import Json, Store
from tests.databases import receipt_of, row_of
from tests.factories import event_body, gateway_payment, payment_body, unique
from tests.stack import Api, Sandbox, StartApi, StartWorker
from tests.waiting import eventually


def crash(call: Callable[[], httpx.Response], server: Api) -> None:
    """Make a call that ends with the process that serves it."""
    with pytest.raises(httpx.TransportError):
        call()
    server.kill()


@pytest.mark.parametrize(
    ("point", "orders_then"),
    [("create.claimed", 0), ("create.ordered", 1), ("create.attached", 1)],
)
def test_a_crash_while_creating_leaves_a_payment_that_the_same_key_finishes(
    user: Actor,
    sandbox: Sandbox,
    store: Store,
    start_api: StartApi,
    point: str,
    orders_then: int,
) -> None:
    doomed = start_api(KERNAPAY_CRASH_AT=point, RAZORPAY_TIMEOUT="0.5s")
    body = payment_body()
    crash(lambda: user.at(doomed.client).create(body), doomed)
    row = row_of(store.payments, idempotencyKey=body["idempotencyKey"])
    assert row["status"] == "pending"
    receipt = receipt_of(row)
    assert len(sandbox.orders(receipt)) == orders_then
    answer = user.create(body)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    (order,) = sandbox.orders(receipt)
    assert data["orderId"] == order["id"]
    assert data["referenceId"] == row["referenceId"]
    assert verify(user.client, data, sandbox.pay(order["id"])).status_code == 200
    seen = user.seen(data["referenceId"])
    assert [step["status"] for step in seen["history"]] == ["pending", "success"]


def test_an_order_paid_before_it_was_attached_is_found_by_its_webhook(
    user: Actor, sandbox: Sandbox, store: Store, start_api: StartApi, api_server: Api
) -> None:
    doomed = start_api(KERNAPAY_CRASH_AT="create.ordered", RAZORPAY_TIMEOUT="0.5s")
    body = payment_body()
    crash(lambda: user.at(doomed.client).create(body), doomed)
    row = row_of(store.payments, idempotencyKey=body["idempotencyKey"])
    (order,) = sandbox.orders(receipt_of(row))
    sandbox.deliver_to(api_server.url)
    sandbox.pay(order["id"])
    eventually(lambda: status(user.client, row)["status"] == "success")
    again = user.create(body)
    assert again.status_code == 200
    assert again.json()["data"]["orderId"] == order["id"]
    assert len(sandbox.orders(receipt_of(row))) == 1


def test_what_a_crash_left_in_the_inbox_is_finished_by_the_worker(
    user: Actor,
    sandbox: Sandbox,
    store: Store,
    start_api: StartApi,
    start_worker: StartWorker,
) -> None:
    left: dict[str, Json] = {}
    for point in ("webhook.stored", "settle.moved"):
        payment = user.new_payment()
        assert user.history().json()[0]["status"] == "pending"
        doomed = start_api(KERNAPAY_CRASH_AT=point)
        event_id = unique("evt_")
        event = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
        crash(partial(send_event, doomed.client, body=event, event_id=event_id), doomed)
        assert send_event(user.client, body=event, event_id=event_id).status_code == 200
        assert row_of(store.webhook_events, eventId=event_id)["status"] == "pending"
        left[event_id] = payment
    # The lease of the dead request is still running: end it.
    late = {"$currentDate": {"nextAt": True}}
    store.webhook_events.update_many({"eventId": {"$in": list(left)}}, late)
    start_worker()
    for event_id, payment in left.items():
        done = {"eventId": event_id, "status": "processed"}
        eventually(partial(store.webhook_events.find_one, done))
        seen = user.seen(payment["referenceId"])
        assert [step["status"] for step in seen["history"]] == ["pending", "success"]
    # The crash came before the cached history was dropped; whoever settled again dropped it.
    assert {line["status"] for line in user.history().json()} == {"success"}


def test_a_worker_that_dies_in_the_middle_is_replaced_by_the_parent(
    user: Actor, sandbox: Sandbox, start_api: StartApi
) -> None:
    """Granian starts a new process for the one that was killed; the port stays open."""
    server = start_api(KERNAPAY_CRASH_AT="create.claimed", RAZORPAY_TIMEOUT="0.5s")
    with pytest.raises(httpx.TransportError):
        user.at(server.client).create()

    def back() -> bool:
        try:
            return user.at(server.client).profile().status_code == 200
        except httpx.TransportError:
            return False

    eventually(back)
