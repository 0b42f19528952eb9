"""Live status over HTTP: the present state, then each change once and in order, to whoever may see it."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.actors import (
    API_KEYS,
    PAYMENTS,
    Actor,
    People,
    assert_problem,
    request_refund,
    send_event,
    status,
    verify,
)
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.exposition import Exposition
from tests.factories import failed_payment, unique
from tests.live.follower import Event, Follower
from tests.live.payments import capture, decline, new_row, push
from tests.money.disputes import invented, tell
from tests.stack import Api, Sandbox, bearer
from tests.waiting import eventually

PUBLIC_STEP = {"status", "updatedAt", "final", "late", "amountRefunded"}


@pytest.fixture
def followed(user: Actor, api_server: Api) -> Iterator[tuple[Json, Follower]]:
    """A new payment, and its payer's stream of it, of which the state was read."""
    payment = user.new_payment()
    with Follower(api_server.port, payment["referenceId"], user.token) as stream:
        assert stream.next().name == "state"
        yield payment, stream


def test_a_payment_is_followed_to_its_end(
    followed: tuple[Json, Follower], user: Actor, sandbox: Sandbox
) -> None:
    payment, stream = followed
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in stream.headers
    decline(user.client, payment)
    declined = stream.next()
    assert (declined.name, declined.id, declined.status) == ("step", 1, "failed")
    checkout = sandbox.pay(payment["orderId"])
    assert verify(user.client, payment, checkout).status_code == 200
    *steps, end = stream.rest()
    assert [each.id for each in steps] == list(range(2, 2 + len(steps)))
    assert steps[-1].status == "success"
    assert steps[-1].data == user.seen(payment["referenceId"])["history"][-1]
    assert (end.name, end.id, end.data) == ("end", None, {"reason": "final"})
    assert stream.retries == [2000]


@pytest.mark.parametrize("path", ["/events/", "//events", "/events?a=b"])
def test_a_stream_goes_on_however_its_path_is_written(
    path: str, user: Actor, sandbox: Sandbox, api_server: Api
) -> None:
    payment = user.new_payment()
    with Follower(api_server.port, payment["referenceId"], path=path) as stream:
        assert stream.next().name == "state"
        checkout = sandbox.pay(payment["orderId"])
        assert verify(user.client, payment, checkout).status_code == 200
        assert stream.rest()[-1].name == "end"


def test_the_first_state_is_what_status_answers(
    followed: tuple[Json, Follower], user: Actor, api_server: Api
) -> None:
    payment, _ = followed
    with Follower(api_server.port, payment["referenceId"]) as stream:
        state = stream.next()
        assert (state.name, state.id) == ("state", 0)
        assert state.data == status(user.client, payment)


def test_a_sale_that_has_ended_is_told_and_the_stream_with_it(
    user: Actor, sandbox: Sandbox, api_server: Api
) -> None:
    payment, _ = user.buy(sandbox)
    with Follower(api_server.port, payment["referenceId"]) as stream:
        state, end = stream.rest()
        assert (state.name, state.status, state.data["final"]) == ("state", "success", True)
        assert end.data == {"reason": "final"}
    with Follower(api_server.port, payment["referenceId"], last=state.id) as again:
        assert (again.status, again.body) == (204, b"")


@pytest.fixture
def long_history(store: Store) -> Json:
    """A pending payment with five steps."""
    return new_row(store, steps=5)


@pytest.mark.parametrize(
    ("last", "ids"),
    [
        ("4", []),
        ("3", [4]),
        ("0", [1, 2, 3, 4]),
        ("5", ["state"]),
        ("999999", ["state"]),
        ("1" * 200, ["state"]),
        ("-1", [0, 1, 2, 3, 4]),
        ("-2", ["state"]),
        ("1.0", ["state"]),
        ("abc", ["state"]),
        ("", ["state"]),
        ("\u0661", ["state"]),
        (None, ["state"]),
    ],
)
def test_a_stream_resumes_after_the_last_event_that_the_client_has(
    long_history: Json, store: Store, api_server: Api, last: str | None, ids: list[Any]
) -> None:
    given = None if last is None else last.encode().decode("latin-1")
    with Follower(api_server.port, long_history["referenceId"], last=given) as stream:
        assert stream.status == 200
        for expected in ids:
            event = stream.next()
            assert event.name == ("state" if expected == "state" else "step")
            assert event.id == (4 if expected == "state" else expected)
        assert stream.is_silent()
        assert not stream.is_ended.is_set()


def test_a_history_that_begins_after_the_state_is_not_missed(store: Store, api_server: Api) -> None:
    """A row of an earlier system may have none."""
    row = new_row(store, steps=0)
    with Follower(api_server.port, row["referenceId"]) as stream:
        state = stream.next()
        assert (state.name, state.status) == ("state", "pending")
    push(store, row, 0, "success", final=True)
    with Follower(api_server.port, row["referenceId"], last=state.id) as again:
        step, end = again.rest()
        assert (step.name, step.id, step.status) == ("step", 0, "success")
        assert end.data == {"reason": "final"}


def test_a_browser_stops_after_a_sale_that_ended_without_a_history(
    store: Store, api_server: Api
) -> None:
    row = new_row(store, steps=0, status="success")
    with Follower(api_server.port, row["referenceId"]) as stream:
        state, end = stream.rest()
        assert (state.status, end.data) == ("success", {"reason": "final"})
    with Follower(api_server.port, row["referenceId"], last=state.id) as again:
        assert again.status == 204


def test_two_ids_are_refused(long_history: Json, api: httpx.Client) -> None:
    path = f"{PAYMENTS}/{long_history['referenceId']}/events"
    answer = api.get(path, headers=[("Last-Event-ID", "1"), ("Last-Event-ID", "2")])
    assert_problem(answer, 400, field="Last-Event-Id")


def test_nothing_is_lost_and_nothing_comes_twice_over_broken_connections(
    user: Actor, sandbox: Sandbox, api_server: Api
) -> None:
    """The client leaves after each event, and comes back with its id."""
    payment = user.new_payment()
    seen: list[Event] = []
    last: int | None = None
    ended = threading.Event()

    def follow() -> None:
        nonlocal last
        while not ended.is_set():
            with Follower(api_server.port, payment["referenceId"], user.token, last) as stream:
                if stream.status == 204:
                    return
                event = stream.next()
                seen.append(event)
                last = last if event.id is None else event.id

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        eventually(lambda: len(seen) == 1)
        decline(user.client, payment)
        tell(user.client, "created", invented("pay_of_nobody", amount=1))
        checkout = sandbox.pay(payment["orderId"])
        verify(user.client, payment, checkout)
        thread.join(30)
        assert not thread.is_alive()
    finally:
        ended.set()
    steps = [each for each in seen if each.name != "end"]
    history = user.seen(payment["referenceId"])["history"]
    assert [each.id for each in steps] == list(range(len(history)))
    assert [each.status for each in steps[1:]] == [each["status"] for each in history[1:]]


def test_another_process_tells_of_the_change(
    user: Actor, api_server: Api, second_api: Api, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    reference = payment["referenceId"]
    with (
        Follower(api_server.port, reference) as here,
        Follower(second_api.port, reference) as there,
        Follower(second_api.port, reference) as there_too,
    ):
        streams = (here, there, there_too)
        assert [each.next().name for each in streams] == ["state"] * 3
        decline(second_api.client, payment)
        assert [each.next().id for each in streams] == [1] * 3
        capture(api_server.client, payment)
        for each in streams:
            assert [event.name for event in each.rest()] == ["step", "end"]


@pytest.mark.owasp(line="API3")
def test_the_bearer_of_the_reference_sees_nothing_personal(
    user: Actor, admin: Actor, api_server: Api, store: Store
) -> None:
    """Neither where a change came from, nor why, nor whose payment it is, nor a dispute about it."""
    payment = user.new_payment(description="A secret treatment", notes={"cart": "of Asha"})
    with Follower(api_server.port, payment["referenceId"]) as stream:
        state = stream.next()
        assert state.data.keys() == status(user.client, payment).keys()
        body = failed_payment(payment["orderId"], error_reason="card_stolen", email="asha@x.in")
        assert send_event(user.client, "payment.failed", payment=body).is_success
        assert stream.next().data.keys() == PUBLIC_STEP
        capture(user.client, payment)
        step, _ = stream.rest()
        assert step.data.keys() == PUBLIC_STEP


@pytest.mark.owasp(line="API3")
def test_who_may_read_the_payment_sees_where_changes_came_from(
    people: People, user: Actor, admin: Actor, api_server: Api, store: Store
) -> None:
    provider, stranger = people.new("PROVIDER"), people.new("USER")
    # Anybody may write any address into a sign-up.
    unverified = people.new("LAB_ASSISTANT")
    where, change = {"email": unverified.email}, {"$set": {"isEmailVerified": False}}
    store.users.update_one(where, change)
    payment = user.new_payment(providerId=provider.id)
    made = admin.call("POST", API_KEYS, json={"name": unique("Till "), "role": "USER"})
    reader = {
        "payer": (user.token, True),
        "provider": (provider.token, True),
        "administrator": (admin.token, True),
        "lab assistant": (people.new("LAB_ASSISTANT").token, True),
        "lab assistant without a verified address": (unverified.token, False),
        "stranger": (stranger.token, False),
        "another provider": (people.new("PROVIDER").token, False),
        "key of another account": (made.json()["key"], False),
        "bearer": (None, False),
    }
    streams = {
        who: Follower(api_server.port, payment["referenceId"], token).__enter__()
        for who, (token, _) in reader.items()
    }
    try:
        for stream in streams.values():
            assert stream.next().name == "state"
        decline(user.client, payment)
        for who, stream in streams.items():
            step = stream.next().data
            assert ("source" in step) is reader[who][1], who
    finally:
        for stream in streams.values():
            stream.leave()


def test_disputes_are_shown_to_whoever_may_see_them(
    user: Actor, admin: Actor, store: Store, api_server: Api
) -> None:
    """What is hidden leaves a gap in the ids, and no event."""
    payment = user.new_payment()
    event = {"event": "payment.dispute.created", "source": "webhook"}
    hidden = {**row_of(store.payments, referenceId=payment["referenceId"])["history"][0], **event}
    where = {"referenceId": payment["referenceId"]}
    store.payments.update_one(where, {"$push": {"history": hidden}})
    decline(user.client, payment)
    for token, ids in ((admin.token, [1, 2]), (user.token, [2]), (None, [2])):
        with Follower(api_server.port, payment["referenceId"], token, last=0) as stream:
            assert [stream.next().id for _ in ids] == ids
            assert stream.is_silent()


def test_refunds_after_the_end_are_not_streamed(
    user: Actor, admin: Actor, sandbox: Sandbox, api_server: Api
) -> None:
    payment, _ = user.buy(sandbox)
    assert request_refund(admin, payment, 100).is_success
    with Follower(api_server.port, payment["referenceId"]) as stream:
        state, end = stream.rest()
        assert state.data["amountRefunded"] == 100
        assert end.data == {"reason": "final"}


@pytest.mark.owasp(line="API2")
def test_after_logging_out_nothing_more_is_shown(
    followed: tuple[Json, Follower], user: Actor, people: People
) -> None:
    payment, stream = followed
    user.log_out()
    decline(user.client, payment)
    (end,) = stream.rest()
    assert end.data == {"reason": "access"}


@pytest.mark.owasp(line="API2")
def test_a_token_that_is_none_is_refused_and_not_taken_for_a_bearer(
    user: Actor, api_server: Api, long_history: Json
) -> None:
    path = f"{PAYMENTS}/{long_history['referenceId']}/events"
    user.log_out()
    for header in ("Bearer nonsense", "Bearer", "Basic eDp5", f"Bearer {user.token}", ""):
        answer = user.client.get(path, headers={"Authorization": header})
        assert_problem(answer, 401, code="unauthenticated")


def test_what_is_not_there_is_not_found(api: httpx.Client, user: Actor) -> None:
    missing = f"{PAYMENTS}/PAY_{'0' * 24}_1795989516122_{'x' * 22}/events"
    assert_problem(api.get(missing), 404, code="not_found")
    assert_problem(api.get(missing, headers=bearer(user.token)), 404, code="not_found")
    assert_problem(api.get(f"{PAYMENTS}/nonsense/events"), 400, field="reference_id")


def test_a_stream_is_never_compressed(long_history: Json, api_server: Api) -> None:
    reference = long_history["referenceId"]
    for accepted in ("gzip, br", "gzip;q=1, identity;q=0.5", "*"):
        with Follower(api_server.port, reference, headers={"Accept-Encoding": accepted}) as stream:
            assert "content-encoding" not in stream.headers
            assert stream.next().name == "state"
    path = f"{PAYMENTS}/{reference}/events"
    refused = api_server.client.get(path, headers={"Accept-Encoding": "gzip, identity;q=0"})
    assert_problem(refused, 406, code="not_acceptable")


def test_streams_and_signals_are_counted(user: Actor, api_server: Api, sandbox: Sandbox) -> None:
    before = Exposition.of(api_server.client)
    payment = user.new_payment()
    with Follower(api_server.port, payment["referenceId"]) as stream:
        stream.next()
        opened = Exposition.of(api_server.client)
        assert opened.sum("kernapay_live_streams") >= 1
        capture(user.client, payment)
        stream.rest()
    after = Exposition.of(api_server.client)

    def grown(name: str, **labels: str) -> float:
        return after.sum(name, **labels) - before.sum(name, **labels)

    assert grown("kernapay_live_streams_ended_total", reason="final") == 1
    assert grown("kernapay_signals_total", outcome="sent") >= 1
    assert grown("kernapay_signals_total", outcome="heard") >= 1
    route = "/v1/api/payments/{reference_id}/events"
    assert grown("kernapay_http_request_seconds_count", route=route, status="200") == 1
