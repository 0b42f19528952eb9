import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from tests.actors import Actor, assert_problem, send_event, status
from tests.aliases import Json
from tests.factories import gateway_payment, unique
from tests.money.shop import LONG_AGO, Shop
from tests.stack import Sandbox
from tests.waiting import eventually

EVENTS = "/v1/api/webhooks/events"


def kept_event(api: httpx.Client, shop: Shop, payment: dict[str, Any]) -> str:
    """An event that could not be handled when it came: our record of the order is not there."""
    row = shop.row(payment)
    shop.store.payments.delete_one({"_id": row["_id"]})
    facts = gateway_payment(payment["orderId"], amount=payment["amount"])
    event_id = unique("evt_")
    assert send_event(api, "payment.captured", event_id=event_id, payment=facts).status_code == 200
    shop.store.payments.insert_one(row)
    return event_id


def event_row(shop: Shop, event_id: str) -> dict[str, Any]:
    found = shop.store.webhook_events.find_one({"eventId": event_id})
    assert found is not None
    return found


def make_due(shop: Shop) -> None:
    shop.store.webhook_events.update_many({"status": "pending"}, {"$set": {"nextAt": LONG_AGO}})


def test_an_event_that_comes_before_its_record_is_kept_and_applied(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    event_id = kept_event(api, shop, payment)
    row = event_row(shop, event_id)
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert row["error"].startswith("RecordMissing")

    make_due(shop)
    worker = shop.worker()

    eventually(lambda: status(api, payment)["status"] == "success")
    eventually(lambda: event_row(shop, event_id)["status"] == "processed")
    worker.stop()
    assert worker.exit_code == 0


def test_retries_wait_longer_each_time_and_the_hopeless_is_parked(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    event_id = kept_event(api, shop, payment)
    shop.store.payments.delete_many({})
    waits = []

    async def sweep(services: Services) -> None:
        while await services.webhook_inbox.sweep():
            pass

    for attempt in range(1, 12):
        row = event_row(shop, event_id)
        if row["status"] == "parked":
            break
        waits.append((row["nextAt"] - row["updatedAt"]).total_seconds())
        assert row["attempts"] == attempt
        make_due(shop)
        shop.work(sweep)

    row = event_row(shop, event_id)
    assert row["status"] == "parked"
    assert "RecordMissing" in row["error"]
    assert waits == sorted(waits)
    assert len(set(waits)) == len(waits) == 10
    assert waits[-1] >= 24 * 3600 - 1


def test_what_is_signed_but_unreadable_is_parked_with_the_reason(
    api: httpx.Client, shop: Shop
) -> None:
    event_id = unique("evt_")
    body = b'{"event": "payment.captured", "payload": {"payment": {"entity": {"id": 7}}}}'

    assert send_event(api, body=body, event_id=event_id).status_code == 200

    row = event_row(shop, event_id)
    assert row["status"] == "parked"
    assert row["error"].startswith("Unreadable")


def test_administrators_list_inspect_and_replay_events(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    event_id = kept_event(api, shop, payment)

    listed = admin.call("GET", EVENTS, params={"status": "pending"}).json()
    assert [event["eventId"] for event in listed] == [event_id]
    shown = admin.call("GET", f"{EVENTS}/{event_id}").json()
    assert shown["event"]["status"] == "pending"
    assert payment["orderId"] in shown["body"]

    answer = admin.call("POST", f"{EVENTS}/{event_id}/replay")

    assert answer.status_code == 200, answer.text
    assert answer.json()["event"]["status"] == "processed"
    assert status(api, payment)["status"] == "success"
    assert admin.call("GET", EVENTS, params={"status": "pending"}).json() == []


@pytest.mark.owasp(line="API6")
def test_replaying_a_handled_event_changes_nothing(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    facts = gateway_payment(payment["orderId"], id=shop.row(payment)["razorpayPaymentId"])
    event_id = unique("evt_")
    send_event(api, "payment.captured", event_id=event_id, payment=facts)
    before = shop.row(payment)["history"]

    answer = admin.call("POST", f"{EVENTS}/{event_id}/replay")

    assert answer.json()["event"]["outcome"] == "unchanged"
    assert shop.row(payment)["history"] == before


def test_all_parked_events_are_replayed_by_one_call(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payments = [user.new_payment() for _ in range(3)]
    for payment in payments:
        kept_event(api, shop, payment)
    shop.store.webhook_events.update_many({}, {"$set": {"status": "parked"}})

    answer = admin.call("POST", f"{EVENTS}/replay", json={"status": "parked"})

    assert answer.json()["count"] == 3
    assert {status(api, payment)["status"] for payment in payments} == {"success"}
    assert_problem(
        admin.call("POST", f"{EVENTS}/replay", json={"status": "processed"}), 400, field="status"
    )


def test_an_unknown_event_is_not_found(shop: Shop, admin: Actor) -> None:
    assert_problem(admin.call("GET", f"{EVENTS}/evt_unknown"), 404)
    assert_problem(admin.call("POST", f"{EVENTS}/evt_unknown/replay"), 404)


@pytest.mark.parametrize("role", ["USER", "PROVIDER", "LAB_ASSISTANT"])
@pytest.mark.owasp(line="API5")
def test_the_inbox_is_for_administrators(role: str, shop: Shop, people: Any) -> None:
    actor = people.new(role)

    for method, path in (
        ("GET", EVENTS),
        ("GET", f"{EVENTS}/evt_1"),
        ("POST", f"{EVENTS}/evt_1/replay"),
        ("POST", f"{EVENTS}/replay"),
    ):
        assert_problem(actor.call(method, path, json={"status": "parked"}), 403)


def test_the_command_line_lists_and_replays(api: httpx.Client, shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    event_id = kept_event(api, shop, payment)

    listed = shop.kernapay("inbox", "list", "--status", "pending")
    assert listed.returncode == 0, listed.stderr
    assert event_id in listed.stdout
    assert "RecordMissing" in listed.stdout
    unknown = shop.kernapay("inbox", "replay", "evt_unknown")
    assert (unknown.returncode, unknown.stderr) == (2, "Error: No event has this id.\n")
    assert shop.kernapay("inbox", "replay").returncode == 2
    replayed = shop.kernapay("inbox", "replay", event_id)

    assert replayed.returncode == 0, replayed.stderr
    assert status(api, payment)["status"] == "success"


def test_two_workers_on_one_inbox_handle_each_event_once(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payments = [user.new_payment() for _ in range(30)]
    for payment in payments:
        facts = gateway_payment(payment["orderId"])
        send_event(api, "payment.authorized", payment={**facts, "status": "authorized"})
        send_event(api, "payment.captured", payment=facts)
    # As if their requests had died right after storing them.
    shop.store.payments.update_many(
        {}, {"$set": {"status": "pending"}, "$unset": {"paidAt": "", "authorizedAt": ""}}
    )
    shop.store.payments.update_many({}, [{"$set": {"history": [{"$first": "$history"}]}}])
    shop.store.webhook_events.update_many(
        {}, {"$set": {"status": "pending", "nextAt": LONG_AGO}, "$unset": {"outcome": ""}}
    )
    # Nothing else may settle them.
    shop.store.payments.update_many({}, [{"$set": {"checkAt": {"$add": ["$$NOW", 10**9]}}}])

    workers = [shop.worker(f"worker-{n}") for n in range(2)]
    eventually(lambda: shop.store.webhook_events.count_documents({"status": "pending"}) == 0)

    for payment in payments:
        row = shop.row(payment)
        assert row["status"] == "success"
        assert [s["event"] for s in row["history"]].count("payment.captured") == 1
    # Handled once each: a second time an event would have changed nothing.
    outcomes = [row["outcome"] for row in shop.store.webhook_events.find()]
    assert outcomes.count("moved") >= 30
    for worker in workers:
        worker.wait_ready()
        worker.stop()
        assert worker.exit_code == 0


def test_a_claimed_event_is_given_to_nobody_else(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    event_ids = {kept_event(api, shop, user.new_payment()) for _ in range(20)}
    make_due(shop)
    claimed: list[str] = []

    async def claim(services: Services) -> None:
        async def one() -> None:
            while events := await services.webhook_repository.queue.claim():
                claimed.extend(event.event_id for event in events)

        await asyncio.gather(*(one() for _ in range(8)))
        # A claimer who lost every race of its glance gives up; what it left is still due.
        await one()

    shop.work(claim)

    assert sorted(claimed) == sorted(event_ids)


def has_succeeded(api: httpx.Client, payment: Json) -> bool:
    return bool(status(api, payment)["status"] == "success")


def test_deliveries_of_the_sandbox_arrive_however_they_are_shuffled(
    api_server: Any, api: httpx.Client, shop: Shop, user: Actor, sandbox: Sandbox
) -> None:
    sandbox.deliver_to(api_server.url)
    for name in ("webhook_duplicate", "webhook_reorder", "webhook_delay"):
        sandbox.fault(name, times=4)
    payments = [user.new_payment() for _ in range(6)]
    for payment in payments:
        sandbox.pay(payment["orderId"])

    sandbox.advance(120)

    for payment in payments:
        eventually(partial(has_succeeded, api, payment))
    assert shop.differences() == []


def park(shop: Shop, count: int, name: str = "payment.captured") -> list[str]:
    """Store events that no replay can help: nobody can read them. Return their ids."""
    at = now() - timedelta(days=400)
    event_ids = [unique("evt_") for _ in range(count)]
    rows = [
        {
            "eventId": event_id,
            "bodyHash": unique("hash"),
            "body": b"{}",
            "event": name,
            "status": "parked",
            "attempts": 1,
            "nextAt": at,
            "createdAt": at,
            "updatedAt": at,
        }
        for event_id in event_ids
    ]
    shop.store.webhook_events.insert_many(rows)
    return event_ids


def test_a_replay_of_the_parked_gets_past_a_hundred_hopeless_ones(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    park(shop, 130)
    payment = user.new_payment()
    event_id = kept_event(api, shop, payment)
    parked = {"$set": {"status": "parked", "nextAt": now()}}
    shop.store.webhook_events.update_one({"eventId": event_id}, parked)

    answer = admin.call("POST", f"{EVENTS}/replay", json={"status": "parked"})
    assert answer.json()["count"] == 100
    assert status(api, payment)["status"] == "pending"
    # Those that were tried a moment ago come last.
    assert admin.call("POST", f"{EVENTS}/replay", json={"status": "parked"}).json()["count"] == 100
    assert status(api, payment)["status"] == "success"

    replayed = shop.kernapay("inbox", "replay", "--status", "parked")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.startswith("130 event(s) replayed; 130 are parked now.")
    progress = [line for line in replayed.stderr.splitlines() if not line.startswith("{")]
    assert progress == ["100 of 130", "130 of 130"]


def test_what_is_parked_stays_until_a_person_ends_it(shop: Shop, admin: Actor) -> None:
    (event_id,) = park(shop, 1)
    indexes = shop.store.webhook_events.index_information().values()
    expiring = [index["key"] for index in indexes if "expireAfterSeconds" in index]
    assert expiring == [[("processedAt", 1)]], "MongoDB deletes no row without the field"
    assert "processedAt" not in event_row(shop, event_id)
    assert "1 event(s) are parked" in shop.kernapay("doctor").stdout

    ended = shop.kernapay("inbox", "end", event_id, "--reason", "an order of another shop")
    assert ended.returncode == 0, ended.stderr

    row = event_row(shop, event_id)
    assert (row["status"], row["outcome"]) == (
        "ignored",
        "ended by a person: an order of another shop",
    )
    assert row["processedAt"] is not None, "from now on it may be deleted"
    (entry,) = shop.store.audit_log.find({"target": f"event:{event_id}"})
    assert entry["action"] == "webhook.end"
    again = shop.kernapay("inbox", "end", event_id, "--reason", "again")
    assert again.returncode == 2
    assert "not parked" in again.stderr
    assert shop.kernapay("inbox", "end", "evt_unknown", "--reason", "x").returncode == 2
    assert "no event is parked" in shop.kernapay("doctor").stdout


def test_an_event_that_is_parked_again_is_not_deleted(
    api: httpx.Client, shop: Shop, admin: Actor
) -> None:
    event_id = unique("evt_")
    send_event(api, "nothing.of.ours", event_id=event_id)
    assert "processedAt" in event_row(shop, event_id)
    broken = {"$set": {"event": "payment.captured"}}
    shop.store.webhook_events.update_one({"eventId": event_id}, broken)
    admin.call("POST", f"{EVENTS}/{event_id}/replay")
    row = event_row(shop, event_id)
    assert row["status"] == "parked"
    assert "processedAt" not in row


def test_hundreds_of_events_of_one_kind_do_not_hold_up_another(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    park(shop, 300, "refund.failed")
    payment = user.new_payment()
    event_id = kept_event(api, shop, payment)
    pending = {"$set": {"status": "pending"}}
    shop.store.webhook_events.update_many({"event": "refund.failed"}, pending)
    due = {"$set": {"nextAt": now() - timedelta(seconds=1)}}
    shop.store.webhook_events.update_one({"eventId": event_id}, due)

    async def sweep_a_little(services: Services) -> None:
        for _ in range(4):
            assert await services.webhook_inbox.sweep()

    shop.work(sweep_a_little)
    assert status(api, payment)["status"] == "success"
    left = shop.store.webhook_events.count_documents({"status": "pending"})
    assert left > 250
