"""Events over HTTP: those of one's own payments, all for administrators, by cursor and by filter."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from kernapay.commands.listen import Listener
from kernapay.core.clock import now
from kernapay.storage.mongo import Mongo
from tests.actors import CUSTOMERS, OUTGOING_EVENTS, Actor, assert_problem, request_refund
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import open_desk
from tests.deliveries.field import Field
from tests.factories import unique
from tests.house.scopes import new_holder
from tests.money.disputes import invented
from tests.money.disputes import tell as tell_dispute
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Sandbox

Tell = Callable[[], None]


@pytest.fixture
def tell(mongo: Mongo, store: Store, redis_url: str) -> Tell:
    """Let a relay tell of all that has changed."""

    async def work() -> None:
        clock = FrozenClock(now() + timedelta(seconds=5))
        async with open_desk(mongo, store, redis_url, clock, empty=False) as desk:
            await desk.tell()

    return lambda: asyncio.run(work())


def listed(actor: Actor, **params: Any) -> list[Json]:
    answer = actor.call("GET", OUTGOING_EVENTS, params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def test_the_payer_sees_what_happened_to_the_payment(
    user: Actor, admin: Actor, sandbox: Sandbox, tell: Tell
) -> None:
    payment, _ = user.buy(sandbox)
    tell()
    paid, created = listed(user)
    assert [created["type"], paid["type"]] == ["payment.created", "payment.succeeded"]
    assert paid["subject"] == paid["data"]["referenceId"] == payment["referenceId"]
    assert (created["sequence"], paid["sequence"]) == (0, 1)
    assert paid["data"]["orderId"] == payment["orderId"]
    view = user.call("GET", f"/v1/api/payments/{payment['referenceId']}").json()
    # The last event says what the payment's own route says.
    # Its clock was read once more for `updatedAt`, a moment after the step.
    shared = paid["data"].keys() & view.keys() - {"updatedAt"}
    assert {name: paid["data"][name] for name in shared} == {name: view[name] for name in shared}
    for actor in (user, admin):
        one = actor.call("GET", f"{OUTGOING_EVENTS}/{paid['_id']}")
        assert one.json() == paid
        assert listed(actor, subject=payment["referenceId"]) == [paid, created]


def test_nobody_else_does(user: Actor, people: Any, sandbox: Sandbox, tell: Tell) -> None:
    payment, _ = user.buy(sandbox)
    tell()
    event = listed(user)[0]
    other = people.new()
    assert listed(other) == listed(other, subject=payment["referenceId"]) == []
    missing = other.call("GET", f"{OUTGOING_EVENTS}/evt_{'0' * 24}_0_00000000")
    foreign = other.call("GET", f"{OUTGOING_EVENTS}/{event['_id']}")
    assert_problem(foreign, 404)
    assert foreign.json()["detail"] == missing.json()["detail"]
    foreign = other.call("GET", OUTGOING_EVENTS, params={"cursor": event["_id"]})
    assert_problem(foreign, 404)


def test_pages_are_whole_and_in_order(user: Actor, tell: Tell) -> None:
    for _ in range(5):
        user.new_payment()
    tell()
    pages: list[Json] = []
    while page := listed(user, count=2, **({"cursor": pages[-1]["_id"]} if pages else {})):
        pages += page
    assert pages == listed(user)
    assert len({each["_id"] for each in pages}) == 5
    times = [each["timestamp"] for each in pages]
    assert times == sorted(times, reverse=True)


def test_filters_narrow(user: Actor, sandbox: Sandbox, tell: Tell) -> None:
    user.buy(sandbox)
    tell()
    paid, created = listed(user)
    assert listed(user, type="payment.created") == [created]
    assert listed(user, type="refund.failed") == []
    assert listed(user, **{"from": paid["timestamp"]}) == [paid]
    assert listed(user, to=paid["timestamp"]) == [created]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"type": "payment.unheard_of"}, "type"),
        ({"cursor": "evt_1"}, "cursor"),
        ({"subject": "a b"}, "subject"),
        ({"from": "yesterday"}, "from"),
        ({"count": "0"}, "count"),
    ],
)
def test_bad_input_names_the_field(user: Actor, params: dict[str, str], field: str) -> None:
    answer = user.call("GET", OUTGOING_EVENTS, params=params)
    assert_problem(answer, 400)
    assert field in answer.text


def test_an_odd_id_is_refused(user: Actor) -> None:
    assert_problem(user.call("GET", f"{OUTGOING_EVENTS}/evt_1.2"), 400)


def test_an_event_that_cannot_be_read_ends_no_listening(field: Field, user: Actor) -> None:
    events = field.events(250, shopId=user.id, bodies={"1": b'{"data": {}}'})
    odd = {"_id": events[200]}
    field.do(lambda store: store.events.update_one(odd, {"$set": {"bodies": {"1": b"7"}}}))
    headers = {"Authorization": f"Bearer {user.token}"}

    class Over(Exception):
        """All that there was has been heard."""

    def pause() -> None:
        raise Over

    heard: list[str] = []
    with httpx.Client(
        base_url=user.client.base_url, headers=headers, verify=NO_AUTHORITIES
    ) as client:
        listener = Listener(client, pause, now() - timedelta(minutes=1))
        with pytest.raises(Over):
            heard += (event["_id"] for event in listener.events())
    assert heard == [each for each in events if each != events[200]]


def test_an_event_that_cannot_be_read_keeps_no_other_from_the_list(
    user: Actor, admin: Actor, store: Store, sandbox: Sandbox, tell: Tell
) -> None:
    payment, _ = user.buy(sandbox)
    tell()
    paid, created = listed(admin, subject=payment["referenceId"])
    store.events.update_one({"_id": paid["_id"]}, {"$set": {"bodies": {"1": b'{"type": 7'}}})
    assert listed(admin, subject=payment["referenceId"]) == [created]
    answer = admin.call("GET", f"{OUTGOING_EVENTS}/{paid['_id']}")
    assert_problem(answer, 409, code="unreadable_row")
    store.events.delete_one({"_id": paid["_id"]})


def test_of_a_shops_customer_events_have_the_id_alone(
    user: Actor, admin: Actor, sandbox: Sandbox, tell: Tell, store: Store
) -> None:
    """So nothing is left of them when they are erased: nor in payments, nor in the notes of the order."""
    shop = new_holder(admin, user, "USER", "payments:write", "refunds:write", "payments:read")
    words = [unique("xq") for _ in range(3)]
    given = {"name": words[0], "reference": words[1], "email": f"{words[2]}@example.com"}
    payment, checkout = shop.buy(sandbox, customer=given)
    tell_dispute(user.client, "created", invented(checkout["razorpay_payment_id"], amount=100))
    assert request_refund(shop, payment, 100).status_code == 201
    tell()
    events = listed(user)
    assert {each["type"].partition(".")[0] for each in events} == {"payment", "refund", "dispute"}
    assert {each["data"]["customerId"] for each in events} == {payment["customerId"]}
    assert user.call("DELETE", f"{CUSTOMERS}/{payment['customerId']}").status_code == 200
    left = [str(events), str(sandbox.items("/v1/orders"))]
    for name in store.list_collection_names():
        if not name.startswith("system."):
            left += [str(row) for row in store[name].find()]
    assert len(left) > 10
    assert [word for word in words for text in left if word in text] == []


@pytest.mark.owasp(line="API3")
def test_disputes_of_what_an_account_bought_itself_are_no_events_of_it(
    user: Actor, admin: Actor, sandbox: Sandbox, tell: Tell, store: Store
) -> None:
    """Payers see no disputes. Those of what a shop's customers paid are its matter."""
    scopes = ("payments:write", "payments:read", "deliveries:read")
    shop = new_holder(admin, user, "USER", *scopes)
    own_endpoint, every_endpoint = user.new_endpoint(), admin.new_endpoint()
    bought, checkout = shop.buy(sandbox)
    sold, sold_checkout = shop.buy(sandbox, customer={"reference": "c-1"})
    for each in (checkout, sold_checkout):
        tell_dispute(user.client, "created", invented(each["razorpay_payment_id"], amount=100))
    tell()

    def is_told(who: Actor, payment: Json) -> bool:
        types = {each["type"] for each in listed(who, subject=payment["referenceId"])}
        assert "payment.succeeded" in types
        return "dispute.opened" in types

    def is_sent(endpoint: Json, payment: Json) -> bool:
        where = {"endpoint": endpoint["_id"], "subject": payment["referenceId"]}
        types = {row["type"] for row in store.deliveries.find(where)}
        assert "payment.succeeded" in types
        return "dispute.opened" in types

    for who in (user, shop):
        assert (is_told(who, bought), is_told(who, sold)) == (False, True)
        opened = [each for each in listed(who) if each["type"] == "dispute.opened"]
        assert [each["subject"] for each in opened] == [sold["referenceId"]]
        # The page is no shorter for what is hidden.
        (newest,) = listed(who, subject=bought["referenceId"], count=1)
        assert newest["type"] == "payment.succeeded"
        assert listed(who, subject=bought["referenceId"], type="dispute.opened") == []
    assert (is_told(admin, bought), is_told(admin, sold)) == (True, True)
    assert (is_sent(own_endpoint, bought), is_sent(own_endpoint, sold)) == (False, True)
    assert (is_sent(every_endpoint, bought), is_sent(every_endpoint, sold)) == (True, True)
    (hidden,) = listed(admin, subject=bought["referenceId"], type="dispute.opened")
    for who in (user, shop):
        assert_problem(who.call("GET", f"{OUTGOING_EVENTS}/{hidden['_id']}"), 404)
