"""What was sent can be seen and sent again; what is removed is deleted; who keeps an endpoint hears of its end."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.core.keys import Sealer
from kernapay.deliveries.signing import new_secret
from tests.actors import DELIVERIES, ENDPOINTS, Actor, People, assert_problem
from tests.aliases import Json, Store
from tests.clocks import RunningClock
from tests.deliveries.field import SEALER, Bench, Field
from tests.deliveries.receiver import Receiver
from tests.in_process import InProcess
from tests.stack import JWT_SECRET
from tests.waiting import until


def listed(actor: Actor, endpoint: str, **params: Any) -> list[Json]:
    answer = actor.call("GET", DELIVERIES, params={"endpointId": endpoint, **params})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()
    return found


def replay(actor: Actor, endpoint: str, **body: Any) -> Json:
    answer = actor.call("POST", f"{ENDPOINTS}/{endpoint}/replay", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def text(time: Any) -> str:
    return str(time.isoformat()).replace("+00:00", "Z")


@pytest.fixture
def own(field: Field, user: Actor, receiver: Receiver) -> str:
    """The user's endpoint, at the receiver."""
    return field.endpoint(receiver.url, owner=user.id, keeper=user.id)


def test_deliveries_are_listed_newest_first_by_state_and_time(
    field: Field, user: Actor, own: str, clock: RunningClock
) -> None:
    ids = []
    for number in range(6):
        state = {"state": "failed"} if number % 2 else {"state": "done", "doneAt": clock()}
        ids += field.deliver(own, field.events(1), **state)
        clock.advance(minutes=1)
    foreign = field.endpoint("https://8.8.8.8/", owner=str(ObjectId()))
    field.deliver(foreign, field.events(1))
    newest = ids[::-1]
    assert [each["_id"] for each in listed(user, own)] == newest
    assert [each["_id"] for each in listed(user, own, state="failed")] == newest[::2]
    middle = {
        "from": text(clock() - timedelta(minutes=5)),
        "to": text(clock() - timedelta(minutes=2)),
    }
    assert [each["_id"] for each in listed(user, own, **middle)] == newest[1:4]
    pages: list[str] = []
    cursor: Json = {}
    while page := listed(user, own, count=4, **cursor):
        pages += [each["_id"] for each in page]
        cursor = {"cursor": pages[-1]}
    assert pages == newest


def test_deliveries_of_one_moment_are_all_listed(field: Field, user: Actor, own: str) -> None:
    field.deliver(own, field.events(7), createdAt=now())
    first = listed(user, own, count=3)
    rest = listed(user, own, cursor=first[-1]["_id"])
    assert len({each["_id"] for each in first + rest}) == 7


def test_nobody_sees_or_sends_the_deliveries_of_others(
    field: Field, own: str, people: People
) -> None:
    (delivery,) = field.deliver(own, field.events(1))
    stranger = people.new("USER")
    theirs = field.endpoint("https://8.8.8.8/", owner=stranger.id)
    for answer in (
        stranger.call("GET", f"{DELIVERIES}/{delivery}"),
        stranger.call("POST", f"{DELIVERIES}/{delivery}/resend"),
        stranger.call("GET", DELIVERIES, params={"endpointId": own}),
        stranger.call("GET", DELIVERIES, params={"endpointId": theirs, "cursor": delivery}),
        stranger.call("POST", f"{ENDPOINTS}/{own}/replay", json={"from": "2020-01-01T00:00:00Z"}),
    ):
        assert_problem(answer, 404)


@pytest.mark.parametrize(
    ("body", "field_name"),
    [
        ({}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ({"from": "2026-01-01T00:00:00Z", "only": "done"}, "only"),
        ({"from": "2026-01-01T00:00:00Z", "state": "failed"}, "state"),
    ],
)
def test_a_window_that_is_none_is_refused(
    user: Actor, own: str, body: Json, field_name: str
) -> None:
    answer = user.call("POST", f"{ENDPOINTS}/{own}/replay", json=body)
    assert_problem(answer, 400, field=field_name)


@pytest.mark.anyio
async def test_a_delivery_is_sent_again_under_its_id(
    field: Field, bench: Bench, user: Actor, own: str, receiver: Receiver
) -> None:
    (event,) = field.send(own)
    delivery = f"{event}:{own}"

    async def sent(count: int) -> Json:
        found: Json = {}

        async def look() -> bool:
            answer = await asyncio.to_thread(user.call, "GET", f"{DELIVERIES}/{delivery}")
            found.update(answer.json())
            return len(found["log"]) == count and found["state"] == "done"

        await until(look)
        return dict(found)

    async with bench.running():
        first = await sent(1)
        again = await asyncio.to_thread(user.call, "POST", f"{DELIVERIES}/{delivery}/resend")
        assert again.json()["state"] == "pending"
        second = await sent(2)
    assert receiver.ids() == [event, event]
    assert [each["code"] for each in second["log"]] == [200, 200]
    assert second["log"][0] == first["log"][0]
    assert second["replayedAt"] > first["createdAt"]


@pytest.mark.anyio
async def test_what_waited_for_a_delivery_that_is_sent_again_follows_it_at_once(
    field: Field, bench: Bench, user: Actor, own: str, receiver: Receiver, clock: RunningClock
) -> None:
    events, pause = field.events(4), timedelta(minutes=5)
    (first,) = field.deliver(own, events[:1], nextAt=clock() + pause, attempts=2)
    due = field.delivery(events[0], own)["nextAt"]
    for place in (1, 2, 3):
        # The last one has failed itself, and has a pause of its own.
        waits = {"after": events[place - 1], "attempts": int(place == 3), "seq": place}
        until_then = due + timedelta(milliseconds=50 * place)
        field.deliver(own, [events[place]], nextAt=until_then, **waits)
    (other,) = field.events(1)
    field.deliver(own, [other], nextAt=due + timedelta(milliseconds=50))
    async with bench.running():
        await asyncio.sleep(0.3)
        assert receiver.ids() == []
        await asyncio.to_thread(user.call, "POST", f"{DELIVERIES}/{first}/resend")
        await until(lambda: field.states(own) == {"done": 3, "pending": 2})
    assert receiver.ids() == events[:3]
    assert field.delivery(events[3], own)["nextAt"] > field.delivery(other, own)["nextAt"] > due


def test_what_failed_is_made_due_again_and_nothing_else(
    field: Field, user: Actor, own: str, clock: RunningClock
) -> None:
    old = field.deliver(own, field.events(1), state="failed", attempts=9)
    clock.advance(minutes=1)
    start = clock()
    gone = field.deliver(own, field.events(2), state="failed", attempts=9, expiresAt=clock())
    field.deliver(own, field.events(1), state="done", attempts=1)
    clock.advance(minutes=1)
    found = replay(user, own, **{"from": text(start), "to": text(clock())})
    assert found == {"replayed": 2, "resumeFrom": None}
    assert field.states(own) == {"failed": 1, "pending": 2, "done": 1}
    row = field.delivery(gone[0].partition(":")[0], own)
    assert (row["attempts"], row["replayedAt"] is not None) == (0, True)
    assert row["expiresAt"] - row["replayedAt"] == timedelta(days=30)
    assert field.delivery(old[0].partition(":")[0], own)["state"] == "failed"


@pytest.mark.anyio
async def test_a_new_endpoint_gets_the_past_of_its_shop_in_order(
    field: Field, bench: Bench, user: Actor, own: str, receiver: Receiver
) -> None:
    mine = field.events(4, shopId=user.id)
    field.events(3, shopId=str(ObjectId()))
    field.deliver(own, mine[1:2], state="done", attempts=1, after=mine[0], seq=1)
    window = {"only": "all", "from": text(now() - timedelta(hours=1))}
    for _ in range(2):
        found = await asyncio.to_thread(lambda: replay(user, own, **window))
        assert found["replayed"] == 4
    async with bench.running():
        await until(lambda: field.states(own) == {"done": 4})
    assert receiver.ids() == mine


def test_a_filter_holds_for_the_past_too(field: Field, user: Actor, receiver: Receiver) -> None:
    filters: Json = {
        "types": ["payment.succeeded"],
        "serviceTypes": ["LAB_TEST"],
        "providers": ["p1"],
    }
    own = field.endpoint(receiver.url, owner=user.id, **filters)
    facts = {"shopId": user.id, "serviceType": "LAB_TEST", "providerId": "p1"}
    wanted = field.events(1, **facts)
    for change in (
        {"type": "payment.created"},
        {"serviceType": "CONSULTATION"},
        {"providerId": "p2"},
    ):
        field.events(1, **{**facts, **change})
    replay(user, own, **{"only": "all", "from": text(now() - timedelta(hours=1))})
    assert [each["event"] for each in listed(user, own)] == wanted


def test_a_long_window_is_replayed_in_parts(field: Field, user: Actor, own: str) -> None:
    for _ in range(7):
        field.events(150, shopId=user.id)
    window: Json = {"only": "all", "from": text(now() - timedelta(hours=1))}
    first = replay(user, own, **window)
    assert first["replayed"] == 1000
    second = replay(user, own, **{**window, "from": first["resumeFrom"]})
    assert second["resumeFrom"] is None
    assert field.states(own) == {"pending": 1050}


def test_more_than_one_part_of_one_moment_is_replayed_at_once(
    field: Field, user: Actor, own: str
) -> None:
    """As the findings of a report: the next part would begin with the same ones, and so on for ever."""
    at = now() - timedelta(minutes=5)
    for _ in range(11):
        field.events(100, shopId=user.id, at=at)
    field.events(1, shopId=user.id, at=at + timedelta(milliseconds=1))
    window: Json = {"only": "all", "from": text(now() - timedelta(hours=1))}
    first = replay(user, own, **window)
    assert first["replayed"] == 1100
    second = replay(user, own, **{**window, "from": first["resumeFrom"]})
    assert second == {"replayed": 1, "resumeFrom": None}


@pytest.mark.anyio
async def test_a_test_event_arrives(
    field: Field, bench: Bench, user: Actor, own: str, receiver: Receiver
) -> None:
    sent = await asyncio.to_thread(user.call, "POST", f"{ENDPOINTS}/{own}/test")
    assert sent.status_code == 202, sent.text
    async with bench.running():
        await until(lambda: receiver.received)
    (received,) = receiver.received
    assert b'"type":"endpoint.test"' in received.body
    assert sent.json()["deliveryId"] == f"{received.event_id}:{own}"


@pytest.mark.anyio
@pytest.mark.parametrize("reason", ["gone", "failing"])
async def test_the_keeper_of_a_disabled_endpoint_gets_one_mail(
    field: Field, user: Actor, store: Store, in_process: InProcess, reason: str
) -> None:
    own = field.endpoint(
        "https://8.8.8.8/secret-path",
        owner=user.id,
        keeper=user.id,
        description="Shipping",
        state="disabled",
        reason=reason,
        noticeAt=now(),
    )
    async with in_process() as client:
        maintenance = client.services.endpoint_maintenance
        assert await maintenance.sweep()
        assert not await maintenance.sweep()
    rows = await asyncio.to_thread(lambda: list(store.messages.find({"userId": ObjectId(user.id)})))
    (message,) = rows
    assert (message["kind"], message["to"]) == ("endpoint_disabled", user.email)
    letter = client.services.outbox._sealer.open(message["sealedText"])
    assert own in letter
    assert "Shipping" in letter
    assert "secret-path" not in letter
    # Ids may have these digits too.
    assert ("410 Gone" in letter) is (reason == "gone")


@pytest.mark.anyio
async def test_secrets_are_sealed_anew_after_a_rotation_of_the_jwt_secret(
    field: Field, in_process: InProcess
) -> None:
    """Or a second rotation would lose them."""
    secret, kept = new_secret(), new_secret()
    until = now() + timedelta(hours=1)
    endpoint = field.endpoint("https://8.8.8.8/", secret)
    first = field.row(endpoint)["secrets"][0]
    both = [first, {**first, "sealed": SEALER.seal(kept), "until": until}]
    field.do(lambda store: store.endpoints.update_one({}, {"$set": {"secrets": both}}))
    lost = [{**first, "sealed": Sealer(["forgotten"], "endpoint-secret").seal("x")}]
    broken = field.endpoint("https://8.8.8.8/", secrets=lost)
    rotated = "a-secret-of-the-tests-that-comes-later-0f4d2"
    async with in_process(jwt_secret=rotated, jwt_secret_previous=JWT_SECRET) as client:
        await client.services.endpoint_maintenance.sweep()
    opened = Sealer([rotated], "endpoint-secret")
    rows = field.row(endpoint)["secrets"]
    assert [opened.open(each["sealed"]) for each in rows] == [secret, kept]
    assert [each.get("until") for each in rows] == [None, rows[1]["until"]]
    assert field.row(broken)["secrets"][0]["sealed"] == lost[0]["sealed"]


@pytest.mark.anyio
async def test_a_removed_endpoint_is_deleted_with_its_deliveries(
    field: Field, in_process: InProcess
) -> None:
    removed, kept = (field.endpoint("https://8.8.8.8/", state=each) for each in ("removed", "on"))
    for endpoint in (removed, kept):
        field.deliver(endpoint, field.events(20))
    async with in_process() as client:
        while await client.services.endpoint_maintenance.sweep():
            pass
    assert field.states(removed) == {}
    assert field.states(kept) == {"pending": 20}
    assert field.do(lambda store: store.endpoints.count_documents({})) == 1
