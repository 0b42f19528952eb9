"""GET /payments/history, /payments/status and /payments/{referenceId}."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import httpx
import pytest
from bson import ObjectId
from redis import Redis

from tests.actors import PAYMENTS, USERS, Actor, People, assert_problem, send_event, status, verify
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import failed_payment, gateway_payment
from tests.stack import Api, Sandbox


def references(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [line["referenceId"] for line in answer.json()]


@pytest.fixture
def seven(user: Actor, sandbox: Sandbox) -> list[str]:
    """The references of seven payments, the newest first."""
    return [user.new_payment(amount=1000 + n)["referenceId"] for n in range(7)][::-1]


def test_an_empty_history_is_an_empty_list(user: Actor) -> None:
    answer = user.history()
    assert answer.status_code == 200
    assert answer.json() == []


def test_the_history_lists_the_newest_first(user: Actor, seven: list[str]) -> None:
    answer = user.history()
    assert references(answer) == seven
    line = answer.json()[0]
    assert {"referenceId", "status", "amount", "createdAt", "razorpayOrderId"} <= line.keys()
    assert (line["status"], line["amount"], line["currency"]) == ("pending", 1006, "INR")
    assert line["razorpayOrderId"].startswith("order_")
    assert line["createdAt"].endswith("Z")


def test_ten_lines_are_the_usual_page(user: Actor, sandbox: Sandbox) -> None:
    made = [user.new_payment()["referenceId"] for _ in range(12)][::-1]
    assert references(user.history()) == made[:10]
    assert references(user.history(count=100)) == made


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_skipping_through_covers_everything_once(user: Actor, seven: list[str], count: int) -> None:
    pages = [references(user.history(count=count, skip=skip)) for skip in range(0, 8, count)]
    assert [reference for page in pages for reference in page] == seven
    assert references(user.history(count=count, skip=7)) == []
    assert references(user.history(count=count, skip=10_000)) == []


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 100])
def test_a_cursor_covers_everything_once_though_new_payments_arrive(
    user: Actor, seven: list[str], count: int
) -> None:
    page = references(user.history(count=count))
    walked = list(page)
    while page:
        user.new_payment()
        page = references(user.history(count=count, cursor=walked[-1]))
        assert len(page) <= count
        walked += page
    assert walked == seven


def test_a_cursor_walks_through_payments_of_one_millisecond(
    user: Actor, seven: list[str], store: Store
) -> None:
    stamp = seven[3].split("_")[2]
    for number, reference in enumerate(seven):
        row = row_of(store.payments, referenceId=reference)
        twin = row_of(store.payments, referenceId=seven[3])
        parts = reference.split("_", 3)
        renamed = f"PAY_{user.id}_{stamp}_{number}{parts[3][1:]}"
        change = {"referenceId": renamed, "createdAt": twin["createdAt"]}
        if reference != seven[3]:
            store.payments.update_one({"_id": row["_id"]}, {"$set": change})
    walked: list[str] = []
    page = references(user.history(count=2))
    while page:
        walked += page
        page = references(user.history(count=2, cursor=walked[-1]))
    everything = references(user.history(count=100))
    assert walked == everything
    assert len(set(walked)) == 7


@pytest.mark.parametrize(
    "page",
    [
        {"count": 0},
        {"count": 101},
        {"count": -1},
        {"count": "ten"},
        {"count": 10**30},
        {"skip": -1},
        {"skip": 10_001},
        {"skip": "x"},
        {"cursor": "nonsense"},
        {"cursor": "PAY_66b1f0c2a7d4e5f601234567_99_short"},
        {"cursor": ""},
    ],
    ids=str,
)
@pytest.mark.owasp(line="API4")
def test_a_bad_page_is_refused_by_name(user: Actor, page: dict[str, Any]) -> None:
    assert_problem(user.history(**page), 400, next(iter(page)))


def test_a_cursor_of_an_impossible_time_is_refused_or_empty(user: Actor) -> None:
    cursor = f"PAY_{user.id}_9999999999999_{'A' * 22}"
    assert user.history(cursor=cursor).status_code == 200


def test_a_cursor_whose_payment_is_gone_goes_by_its_own_time(
    user: Actor, seven: list[str], store: Store
) -> None:
    store.payments.delete_one({"referenceId": seven[2]})
    assert references(user.history(cursor=seven[2])) == seven[3:]


def test_a_cursor_goes_by_the_time_of_the_row_and_not_of_its_reference(
    user: Actor, seven: list[str], store: Store
) -> None:
    """Imported rows: the newest by their references are the oldest by their times, and two have no time."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for number, reference in enumerate(seven):
        time = {"$set": {"createdAt": start + timedelta(days=number // 2)}}
        change = {"$unset": {"createdAt": ""}} if number in (2, 5) else time
        store.payments.update_one({"referenceId": reference}, change)
    for count in (1, 2, 3):
        walked: list[str] = []
        page = references(user.history(count=count))
        while page:
            assert len(walked) < 7, "the cursor does not end"
            walked += page
            page = references(user.history(count=count, cursor=walked[-1]))
        assert walked == references(user.history(count=100))
        assert sorted(walked) == sorted(seven)


def test_the_history_is_cached_for_two_hours(
    user: Actor, seven: list[str], redis_client: Redis
) -> None:
    user.history()
    key = f"payment_history:{user.id}"
    assert 7100 < redis_client.ttl(key) <= 7200
    user.history(count=3)
    assert redis_client.ttl(key) > 7100
    assert b"lease" not in str(redis_client.hkeys(key)).encode()


def test_a_hit_is_the_stored_page_and_a_new_payment_drops_all_pages(
    user: Actor, seven: list[str], store: Store, redis_client: Redis
) -> None:
    user.history()
    user.history(count=3)
    user.history(count=3, skip=3)
    # Behind the service's back: whoever still answers "pending" answers from the cache.
    mine = {"userId": ObjectId(user.id)}
    store.payments.update_many(mine, {"$set": {"description": "stored"}})
    assert {line["description"] for line in user.history().json()} != {"stored"}
    new = user.new_payment(description="new")["referenceId"]
    assert not redis_client.exists(f"payment_history:{user.id}")
    assert references(user.history()) == [new, *seven]
    assert references(user.history(count=3)) == [new, *seven[:2]]
    assert references(user.history(count=3, skip=3)) == seven[2:5]
    assert {line["description"] for line in user.history(skip=1).json()} == {"stored"}


def test_a_change_of_status_is_seen_at_once(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    assert user.history().json()[0]["status"] == "pending"
    assert verify(api, payment, sandbox.pay(payment["orderId"])).status_code == 200
    line = user.history().json()[0]
    assert (line["status"], line["paymentMethod"]) == ("success", "card")


def test_readers_in_a_hurry_cannot_make_an_old_history_stay(
    user: Actor, sandbox: Sandbox, second_api: Api
) -> None:
    """A page computed from before a change must not reach the cache after it."""
    elsewhere = user.at(second_api.client)
    ended = Event()

    def read_on(reader: Actor) -> None:
        while not ended.is_set():
            assert reader.history().status_code == 200

    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(read_on, reader) for reader in (user, elsewhere) * 2]
        try:
            for number in range(12):
                payment = user.new_payment()
                assert user.history().json()[0]["referenceId"] == payment["referenceId"]
                change = failed_payment if number % 2 else gateway_payment
                entity = change(payment["orderId"])
                send_event(user.client, f"payment.{entity['status']}", payment=entity)
                outcome = "failed" if number % 2 else "success"
                for reader in (user, elsewhere):
                    assert reader.history().json()[0]["status"] == outcome
        finally:
            ended.set()
        for each in reading:
            each.result()


def test_two_processes_share_one_truth(user: Actor, sandbox: Sandbox, second_api: Api) -> None:
    elsewhere = user.at(second_api.client)
    assert references(user.history()) == references(elsewhere.history()) == []
    made: list[str] = []
    for number in range(6):
        here, there = (user, elsewhere) if number % 2 else (elsewhere, user)
        made.insert(0, here.new_payment()["referenceId"])
        assert references(there.history()) == made
        assert references(here.history()) == made
    elsewhere.update(name="Seen by both")
    assert user.profile().json()["name"] == "Seen by both"
    elsewhere.log_out()
    assert_problem(user.profile(), 401)


@pytest.mark.parametrize("role", ["USER", "PROVIDER", "LAB_ASSISTANT"])
@pytest.mark.owasp(line="API1")
def test_somebody_elses_history_is_closed(user: Actor, people: People, role: str) -> None:
    assert_problem(people.new(role).history(user.id), 403, code="forbidden")


def test_an_administrator_sees_any_history(user: Actor, admin: Actor, seven: list[str]) -> None:
    assert references(admin.history(user.id)) == seven


@pytest.mark.parametrize("user_id", ["x", "66B1F0C2A7D4E5F601234567", "0" * 25, "$ne", "%00"])
def test_what_is_no_id_has_no_history(admin: Actor, user_id: str) -> None:
    answer = admin.call("GET", f"{PAYMENTS}/history/{user_id}")
    assert answer.status_code in (400, 404)
    assert_problem(answer, answer.status_code)


@pytest.mark.owasp(line="API3")
def test_the_status_is_open_to_whoever_knows_the_reference_and_says_nothing_personal(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox, description="A private matter")
    shown = status(api, payment)
    assert shown["status"] == "success"
    assert (shown["amount"], shown["currency"]) == (50000, "INR")
    text = str({**shown, "referenceId": ""})
    for private in (user.email, "Asha", "private", "66b1f0c2", "order_", "pay_", "card"):
        assert private not in text


def test_an_unknown_or_malformed_reference_has_no_status(api: httpx.Client, user: Actor) -> None:
    unknown = f"PAY_{user.id}_1769854530250_{'A' * 22}"
    assert_problem(api.get(f"{PAYMENTS}/status/{unknown}"), 404)
    for bad in ("PAY_x", "$ne", "x" * 200, unknown + "/x", unknown + "%0a", "%00"):
        answer = api.get(f"{PAYMENTS}/status/{bad}")
        assert answer.status_code in (400, 404)
        assert_problem(answer, answer.status_code)


@pytest.mark.owasp(line="API1")
def test_everything_about_a_payment_is_shown_to_those_it_concerns(
    people: People, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    provider, assistant = people.new("PROVIDER"), people.new("LAB_ASSISTANT")
    payment, checkout = user.buy(sandbox, providerId=provider.id)
    for person in (user, provider, assistant, admin):
        seen = person.seen(payment["referenceId"])
        assert seen["razorpayOrderId"] == seen["orderId"] == payment["orderId"]
        assert seen["razorpayPaymentId"] == checkout["razorpay_payment_id"]
        assert seen["userId"] == user.id
        assert checkout["razorpay_signature"] not in str(seen)
    for stranger in (people.new(), people.new("PROVIDER")):
        assert_problem(stranger.show(payment["referenceId"]), 404)


def test_a_payer_who_became_a_provider_still_sees_what_they_paid(
    people: People, store: Store, sandbox: Sandbox
) -> None:
    person = people.new("USER")
    payment, _ = person.buy(sandbox)
    store.users.update_one({"_id": ObjectId(person.id)}, {"$set": {"type": "PROVIDER"}})
    now_a_provider = person.device()
    assert now_a_provider.call("PUT", f"{USERS}/update", json={"name": "Dr Asha"}).is_success
    assert now_a_provider.seen(payment["referenceId"])["referenceId"] == payment["referenceId"]
    receipt = now_a_provider.call("GET", f"{PAYMENTS}/{payment['referenceId']}/receipt")
    assert receipt.status_code == 200


def test_without_a_token_there_is_the_status_only(
    api: httpx.Client, user: Actor, sandbox: Sandbox
) -> None:
    reference = user.new_payment()["referenceId"]
    assert_problem(api.get(f"{PAYMENTS}/{reference}"), 401)
    assert_problem(api.get(f"{PAYMENTS}/history/{user.id}"), 401)
