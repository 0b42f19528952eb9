"""Deliveries reach their endpoints: signed, in order, again after a failure, and none because of another's trouble."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from kernapay.core.keys import Sealer
from kernapay.deliveries.dispatch.endpoint_queue import IN_FLIGHT
from kernapay.deliveries.dispatch.feeder import NO_BODY, TOO_OLD
from kernapay.deliveries.dispatch.repository import BodyRepository
from kernapay.deliveries.dispatch.rows import StoredEvent
from kernapay.deliveries.signing import new_secret
from tests.aliases import Json
from tests.clocks import RunningClock
from tests.deliveries.field import SEALER, Bench, Field
from tests.deliveries.receiver import Receiver, Reply
from tests.waiting import until

pytestmark = pytest.mark.anyio
run = asyncio.to_thread
# On a busy machine, a request or a lease that is cut off by its deadline is sent again, as it should be.
PATIENT: Final[dict[str, Any]] = {"seconds": 20, "lease": timedelta(minutes=1)}


async def ended(field: Field, endpoint: str, within: float = 20, **states: int) -> None:
    """Wait until the deliveries to an endpoint are in these states, so many in each."""

    async def look() -> bool:
        return await run(field.states, endpoint) == states

    await until(look, within)


async def attempted(field: Field, event: str, endpoint: str, count: int = 1) -> None:
    """Wait until so many attempts of a delivery are noted."""
    await until(lambda: run(lambda: field.delivery(event, endpoint)["attempts"] == count))


async def test_a_delivery_is_signed_and_noted(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    secret = new_secret()
    endpoint = field.endpoint(f"{receiver.url}/hook", secret, headers={"X-Shop": "7"})
    (event,) = field.send(endpoint)
    async with bench.running():
        await ended(field, endpoint, done=1)
    (received,) = receiver.received
    received.verify(secret)
    with pytest.raises(WebhookVerificationError):
        received.verify(new_secret())
    assert received.event_id == event
    assert received.body == field.body_of(event)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-shop"] == "7"
    assert received.headers["user-agent"].startswith("KernaPay/")
    row = field.delivery(event, endpoint)
    (entry,) = row["log"]
    assert (entry["code"], entry["excerpt"], row["attempts"]) == (200, "ok", 1)
    assert row["expiresAt"] == row["doneAt"] + timedelta(days=7)
    assert "failingSince" not in field.row(endpoint)
    assert field.row(endpoint)["lastSuccessAt"] >= row["createdAt"]


async def test_a_failure_is_tried_again_with_the_same_id_and_body_and_a_new_time(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock
) -> None:
    endpoint = field.endpoint(receiver.url)
    (event,) = field.send(endpoint)
    receiver.answer = lambda _: Reply(503, b"x" * 5000)
    async with bench.running():
        await attempted(field, event, endpoint)
        row = await run(field.delivery, event, endpoint)
        assert row["state"] == "pending"
        (entry,) = row["log"]
        assert (entry["code"], entry["excerpt"]) == (503, "x" * 1024)
        wait = row["nextAt"] - entry["at"]
        assert timedelta(seconds=5) <= wait < timedelta(seconds=6)
        await until(lambda: run(lambda: field.row(endpoint).get("failingSince") is not None))
        receiver.answer = lambda _: Reply()
        clock.advance(minutes=10)
        await ended(field, endpoint, done=1)
        await until(lambda: run(lambda: "failingSince" not in field.row(endpoint)))
    first, second = receiver.received
    assert (first.event_id, first.body) == (second.event_id, second.body)
    times = [int(each.headers["webhook-timestamp"]) for each in (first, second)]
    assert times[1] - times[0] >= 600
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert len(field.delivery(event, endpoint)["log"]) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 429, 500])
async def test_anything_but_a_2xx_is_a_failure(
    field: Field, bench: Bench, receiver: Receiver, status: int
) -> None:
    receiver.answer = lambda _: Reply(status, b"", {"Location": f"{receiver.url}/elsewhere"})
    endpoint = field.endpoint(f"{receiver.url}/hook")
    (event,) = field.send(endpoint)
    async with bench.running():
        await attempted(field, event, endpoint)
    assert receiver.ids("/elsewhere") == []
    assert field.delivery(event, endpoint)["log"][0]["code"] == status


async def test_retry_after_is_a_minimum(field: Field, bench: Bench, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(429, b"", {"Retry-After": "3600"})
    endpoint = field.endpoint(receiver.url)
    (event,) = field.send(endpoint)
    async with bench.running():
        await attempted(field, event, endpoint)
    row = field.delivery(event, endpoint)
    assert row["nextAt"] - row["log"][0]["at"] >= timedelta(hours=1)


async def test_the_events_of_a_payment_come_in_order(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(delay=0.02)
    endpoint = field.endpoint(receiver.url)
    payments = [field.send(endpoint, 4) for _ in range(12)]
    async with bench.running():
        await ended(field, endpoint, done=48)
    arrived = receiver.ids()
    assert Counter(arrived) == Counter(each for events in payments for each in events)
    for events in payments:
        assert [each for each in arrived if each in events] == events


async def test_a_failure_holds_up_what_follows_for_three_attempts(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock
) -> None:
    endpoint = field.endpoint(receiver.url)
    first, second, third = field.send(endpoint, 3)
    other = field.send(endpoint, 2)
    receiver.answer = lambda each: Reply(500 if each.event_id == first else 200)
    async with bench.running():
        for attempt in (1, 2, 3):
            await attempted(field, first, endpoint, attempt)
            await asyncio.sleep(0.5)
            if attempt < 3:
                assert second not in receiver.ids()
                held = await run(field.delivery, second, endpoint)
                due = (await run(field.delivery, first, endpoint))["nextAt"]
                assert (held["nextAt"] - due, held["attempts"]) == (timedelta(seconds=0.05), 0)
                clock.advance(minutes=6)
        # It is put off to the pause after the second attempt, and not tried before.
        await until(lambda: third in receiver.ids())
        await ended(field, endpoint, pending=1, done=4)
    assert [each for each in receiver.ids() if each != first] == [*other, second, third]


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=2)])
async def test_a_delivery_waits_a_minute_for_one_that_is_not_there(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock, age: timedelta
) -> None:
    """A second relay may insert it a moment later. If its event is old, it was delivered long ago."""
    endpoint = field.endpoint(receiver.url)
    clock.advance(-age)
    first, second = field.events(2)
    clock.advance(age)
    field.deliver(endpoint, [second], after=first, seq=1)
    async with bench.running():
        if age:
            await ended(field, endpoint, done=1)
            return
        await asyncio.sleep(0.7)
        assert receiver.ids() == []
        clock.advance(seconds=61)
        await ended(field, endpoint, done=1)


@pytest.mark.parametrize("attempts", [0, 2, 3])
async def test_a_delivery_waits_for_one_that_is_due_later(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock, attempts: int
) -> None:
    """As another worker left it, after so many attempts."""
    endpoint = field.endpoint(receiver.url)
    first, second = field.events(2)
    later = clock() + timedelta(minutes=5)
    field.deliver(endpoint, [first], nextAt=later, attempts=attempts)
    field.deliver(endpoint, [second], after=first, seq=1)
    async with bench.running():
        if attempts < 3:
            await until(lambda: field.delivery(second, endpoint)["nextAt"] > later)
            assert receiver.ids() == []
            clock.advance(minutes=6)
        await until(lambda: field.delivery(second, endpoint)["state"] == "done")
    assert receiver.ids() == ([second] if attempts == 3 else [first, second])


async def test_an_answer_410_switches_the_endpoint_off_at_once(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410, delay=0.2)
    endpoint = field.endpoint(receiver.url)
    for _ in range(30):
        field.send(endpoint)
    async with bench.running():
        await until(lambda: run(lambda: field.row(endpoint)["state"] == "disabled"))
        await asyncio.sleep(1.5)
    row = field.row(endpoint)
    assert (row["reason"], row["noticeAt"] is not None) == ("gone", True)
    assert len(receiver.received) <= 9, "the attempts that were on their way"
    assert field.states(endpoint) == {"pending": 30}, "nothing is lost"


async def test_a_body_that_is_too_large_for_the_endpoint_is_not_sent_again(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(413)
    endpoint = field.endpoint(receiver.url)
    (event,) = field.send(endpoint)
    async with bench.running():
        await ended(field, endpoint, failed=1)
    row = field.delivery(event, endpoint)
    assert row["expiresAt"] == row["doneAt"] + timedelta(days=30)


@pytest.mark.parametrize(("days", "state"), [(4, "on"), (5, "disabled")])
async def test_five_days_without_a_success_switch_the_endpoint_off(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock, days: int, state: str
) -> None:
    receiver.answer = lambda _: Reply(500)
    since = clock() - timedelta(days=days)
    endpoint = field.endpoint(receiver.url, failingSince=since)
    (event,) = field.send(endpoint)
    async with bench.running():
        await attempted(field, event, endpoint)
        await asyncio.sleep(0.5)
    assert field.row(endpoint)["state"] == state


async def test_what_is_older_than_three_days_is_given_up(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock
) -> None:
    endpoint = field.endpoint(receiver.url)
    clock.advance(days=-3)
    old, replayed = field.events(1), field.events(1)
    field.deliver(endpoint, old)
    field.deliver(endpoint, replayed)
    clock.advance(days=3)
    replayed_at = {"$set": {"replayedAt": clock()}}
    field.do(lambda store: store.deliveries.update_one({"event": replayed[0]}, replayed_at))
    async with bench.running():
        await ended(field, endpoint, failed=1, done=1)
    assert receiver.ids() == replayed
    (entry,) = field.delivery(old[0], endpoint)["log"]
    assert entry["excerpt"] == TOO_OLD


async def test_an_event_that_is_no_longer_stored_is_given_up(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    endpoint = field.endpoint(receiver.url)
    erased, gone = field.send(endpoint)[0], field.send(endpoint)[0]
    field.do(lambda store: store.events.update_one({"_id": erased}, {"$set": {"bodies": {}}}))
    field.do(lambda store: store.events.delete_one({"_id": gone}))
    async with bench.running():
        await ended(field, endpoint, failed=2)
    assert field.delivery(erased, endpoint)["log"][0]["excerpt"] == NO_BODY
    assert receiver.received == []


async def test_an_endpoint_that_hangs_holds_up_no_other(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda each: Reply(delay=30 if each.path == "/hangs" else 0)
    hanging = field.endpoint(f"{receiver.url}/hangs")
    others = [field.endpoint(f"{receiver.url}/{number}") for number in range(5)]
    for _ in range(500):
        field.send(hanging)
    async with bench.running():
        await until(lambda: len(receiver.ids("/hangs")) == 8)
        begin = time.monotonic()
        for other in others:
            await run(field.send, other, 5)
        for other in others:
            await ended(field, other, 5, done=5)
        assert time.monotonic() - begin < 4
        assert len(receiver.ids("/hangs")) <= 24, "eight at a time"


async def test_an_endpoint_that_refuses_gets_few_attempts(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    refusing, other = field.endpoint(nobody), field.endpoint(receiver.url)
    for _ in range(300):
        field.send(refusing)
    async with bench.running():
        await asyncio.sleep(1)
        for _ in range(20):
            await run(field.send, other)
        await ended(field, other, done=20)
        await asyncio.sleep(3)
    where = {"endpoint": refusing, "attempts": {"$gt": 0}}
    tried = field.do(lambda store: store.deliveries.count_documents(where))
    assert 10 <= tried <= 25, "the others keep their attempts"


async def test_endpoints_with_long_queues_hold_up_no_other(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda each: Reply(delay=0.02 if each.path == "/busy" else 0)
    busy = [field.endpoint(f"{receiver.url}/busy") for _ in range(5)]
    for each in busy:
        field.send_many(each, 800)
    other = field.endpoint(f"{receiver.url}/other")
    async with bench.running():
        await until(lambda: len(receiver.ids("/busy")) > 50)
        await run(field.send, other, 5)
        await ended(field, other, done=5)
        pending = [(await run(field.states, each))["pending"] for each in busy]
        assert min(pending) > 400, "more than one reading takes"


async def test_many_endpoints_that_refuse_hold_up_no_other(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    """What waits for them in memory is due all the time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    for _ in range(20):
        field.send_many(field.endpoint(nobody), 45)
    other = field.endpoint(receiver.url)
    async with bench.running():
        tried = {"attempts": {"$gt": 0}}
        await until(lambda: field.do(lambda store: store.deliveries.count_documents(tried)) > 200)
        await run(field.send, other, 5)
        await ended(field, other, 4, done=5)


async def test_of_two_workers_one_sends_and_the_other_takes_over(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(delay=0.2)
    endpoints = [field.endpoint(f"{receiver.url}/{number}") for number in range(4)]
    async with bench.running(**PATIENT):
        async with bench.running(**PATIENT):
            for endpoint in endpoints:
                for _ in range(80):
                    field.send(endpoint)
            for endpoint in endpoints:
                await ended(field, endpoint, 40, done=80)
            assert set(Counter(receiver.ids()).values()) == {1}
        # One of them has ended, whichever it was.
        for endpoint in endpoints:
            await run(field.send, endpoint)
        for endpoint in endpoints:
            await ended(field, endpoint, done=81)


async def test_a_worker_that_cannot_renew_its_leases_stops_sending(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(delay=30)
    endpoint = field.endpoint(receiver.url)
    (event,) = field.send(endpoint)
    dispatcher, transport = bench.dispatcher(seconds=20)
    try:
        await until(lambda: _swept(dispatcher, receiver))
        # As if the process waited for the database: no turn is made.
        await asyncio.sleep(2.5)
        assert not dispatcher._tasks, "what was on its way is cut off"
        receiver.answer = lambda _: Reply()
        async with bench.running():
            await ended(field, endpoint, done=1)
        assert receiver.ids() == [event, event], "sent again, under the same id"
    finally:
        await dispatcher.close()
        await transport.close()
    assert field.delivery(event, endpoint)["attempts"] == 1


async def test_what_was_cut_off_is_sent_before_what_follows_it(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(delay=30)
    endpoint = field.endpoint(receiver.url)
    # So many fill the queue: it reads no more before it goes on with what it has.
    payments = [field.send(endpoint, 4) for _ in range(12)]
    dispatcher, transport = bench.dispatcher(seconds=20)
    try:
        await until(lambda: _swept(dispatcher, receiver, IN_FLIGHT))
        await asyncio.sleep(2.5)
        assert not dispatcher._tasks, "what was on its way is cut off"
        receiver.answer = lambda _: Reply()
        await until(lambda: _swept(dispatcher, receiver, IN_FLIGHT + 12 * 4))
    finally:
        await dispatcher.close()
        await transport.close()
    again = receiver.ids()[IN_FLIGHT:]
    for events in payments:
        assert [each for each in again if each in events] == events


async def test_what_failed_while_the_next_was_read_is_sent_before_it(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    released, ended = asyncio.Event(), asyncio.Event()
    receiver.answer = lambda _: Reply(503, delay=0.5)

    class LateBodies(BodyRepository):
        async def read(self, event_ids: Iterable[str]) -> dict[str, StoredEvent]:
            found = await super().read(event_ids)
            if released.is_set():
                await ended.wait()
            return found

    endpoint = field.endpoint(receiver.url)
    first, second = field.events(2)
    field.deliver(endpoint, [first])
    dispatcher, transport = bench.dispatcher(bodies=LateBodies, **PATIENT)
    try:
        await until(lambda: _swept(dispatcher, receiver))
        field.deliver(endpoint, [second], after=first, seq=1)
        released.set()
        turn = asyncio.create_task(dispatcher.sweep())
        await until(lambda: not dispatcher._tasks)
        ended.set()
        await turn
        receiver.answer = lambda _: Reply()
        await until(lambda: _swept(dispatcher, receiver, 3))
    finally:
        await dispatcher.close()
        await transport.close()
    assert receiver.ids() == [first, first, second]


async def _swept(dispatcher: Any, receiver: Receiver, count: int = 1) -> bool:
    await dispatcher.sweep()
    return len(receiver.received) >= count


async def test_a_rotation_reaches_a_delivery_that_waits(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock
) -> None:
    old, new = new_secret(), new_secret()
    receiver.answer = lambda _: Reply(500)
    endpoint = field.endpoint(receiver.url, old)
    (event,) = field.send(endpoint)

    def rotate() -> None:
        at = clock()
        secrets: list[Json] = [
            {"sealed": SEALER.seal(new), "at": at},
            {"sealed": SEALER.seal(old), "at": at, "until": at + timedelta(seconds=30)},
        ]
        field.do(lambda store: store.endpoints.update_one({}, {"$set": {"secrets": secrets}}))

    async with bench.running():
        await attempted(field, event, endpoint)
        rotate()
        await asyncio.sleep(1.2)
        clock.advance(seconds=6)
        await until(lambda: len(receiver.received) == 2)
        await attempted(field, event, endpoint, 2)
        clock.advance(minutes=6)
        await until(lambda: len(receiver.received) == 3)
    first, second, third = receiver.received
    first.verify(old)
    for secret in (old, new):
        second.verify(secret)
    with pytest.raises(WebhookVerificationError, match=r"No matching|too new"):
        third.verify(old)
    assert len(third.headers["webhook-signature"].split(" ")) == 1


async def test_a_secret_that_cannot_be_opened_pauses_the_endpoint(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    endpoint = field.endpoint(receiver.url)
    field.send(endpoint)
    async with bench.running(sealer=Sealer(["another secret"], "endpoint-secret")):
        await asyncio.sleep(1.5)
    assert receiver.received == []
    assert field.states(endpoint) == {"pending": 1}
    assert field.row(endpoint)["state"] == "on"


async def test_a_secret_that_has_ended_need_not_be_opened(
    field: Field, bench: Bench, receiver: Receiver, clock: RunningClock
) -> None:
    """As after a rotation that replaced a secret which no process can open."""
    secret, at = new_secret(), clock()
    endpoint = field.endpoint(receiver.url, secret)
    lost = Sealer(["another secret"], "endpoint-secret").seal(new_secret())
    secrets: list[Json] = [
        {"sealed": SEALER.seal(secret), "at": at},
        {"sealed": lost, "at": at, "until": at},
    ]
    field.do(lambda store: store.endpoints.update_one({}, {"$set": {"secrets": secrets}}))
    field.send(endpoint)
    async with bench.running():
        await ended(field, endpoint, done=1)
    receiver.received[0].verify(secret)


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://localhost:8000/"])
async def test_a_url_that_is_no_longer_allowed_pauses_the_endpoint(
    field: Field, bench: Bench, url: str
) -> None:
    endpoint = field.endpoint(url)
    field.send(endpoint)
    async with bench.running():
        await asyncio.sleep(1)
    assert field.states(endpoint) == {"pending": 1}


async def test_an_endpoint_that_is_switched_off_gets_nothing_more(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(delay=0.3)
    endpoint = field.endpoint(receiver.url)
    for _ in range(100):
        field.send(endpoint)
    async with bench.running():
        await until(lambda: len(receiver.received) >= 8)
        field.switch(endpoint, "off")
        await asyncio.sleep(1.5)
        count = len(receiver.received)
        await asyncio.sleep(0.5)
        assert len(receiver.received) == count < 60
        field.switch(endpoint, "on")
        await ended(field, endpoint, done=100)


async def test_the_log_keeps_the_newest_attempts(
    field: Field, bench: Bench, receiver: Receiver
) -> None:
    endpoint = field.endpoint(receiver.url)
    (event,) = field.events(1)
    log = [{"at": field.clock(), "ms": number, "code": 500} for number in range(12)]
    field.deliver(endpoint, [event], log=log, attempts=12)
    async with bench.running():
        await ended(field, endpoint, done=1)
    kept = field.delivery(event, endpoint)["log"]
    assert [each["code"] for each in kept] == [500] * 11 + [200]
    assert kept[0]["ms"] == 1


async def test_under_load_each_is_sent_once(field: Field, bench: Bench, receiver: Receiver) -> None:
    """A row that has ended may be in the answer to a read that began before it was noted."""
    endpoints = [field.endpoint(f"{receiver.url}/{number}") for number in range(10)]
    for endpoint in endpoints:
        for _ in range(60):
            field.send(endpoint)
    async with bench.running(**PATIENT):
        for endpoint in endpoints:
            await ended(field, endpoint, 60, done=60)
    assert Counter(Counter(each.path + each.event_id for each in receiver.received).values()) == {
        1: 600
    }
