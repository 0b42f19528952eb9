"""GET /payments: lists with filters, by cursor; each filter served by an index, each list its caller's own."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import bson
import httpx
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

from kernapay.core.errors import InvalidInput
from kernapay.core.fair_share import FairShare
from kernapay.devstack.servers import MongoServer
from kernapay.payments.listing.repository import (
    Criteria,
    PaymentListRepository,
    Place,
    condition_of,
    index_for,
)
from kernapay.payments.listing.service import Filters, PaymentLists
from kernapay.payments.metadata import hash_entry
from kernapay.payments.states import Status
from kernapay.security.principal import Principal, Role
from tests.actors import PAYMENTS, Actor, People, assert_problem
from tests.aliases import Json, Store, json_of
from tests.factories import unique
from tests.house.scopes import new_holder
from tests.in_process import InProcess
from tests.near_misses import Judge
from tests.query_shapes import Query
from tests.stack import Sandbox


def ask(who: Actor, **filters: Any) -> httpx.Response:
    return who.call("GET", PAYMENTS, params=filters)


def references(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [line["referenceId"] for line in answer.json()["payments"]]


def follow(who: Actor, **filters: Any) -> Iterator[list[str]]:
    """Yield the pages of a list, to its end."""
    cursor = None
    while True:
        page = ask(who, **filters, **({} if cursor is None else {"cursor": cursor}))
        yield references(page)
        cursor = page.json()["nextCursor"]
        if cursor is None:
            return


def test_a_list_has_the_callers_own_payments_newest_first(user: Actor, people: People) -> None:
    people.new().new_payment()
    made = [user.new_payment(amount=100 + n)["referenceId"] for n in range(3)][::-1]
    answer = ask(user)
    assert references(answer) == made
    assert answer.json()["nextCursor"] is None
    line = answer.json()["payments"][0]
    assert (line["userId"], line["status"], line["amount"]) == (user.id, "pending", 102)


def test_an_empty_list_has_no_next_page(user: Actor) -> None:
    assert json_of(ask(user)) == {"payments": [], "nextCursor": None}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_pages_cover_everything_once_while_new_payments_come(user: Actor, count: int) -> None:
    made = [user.new_payment()["referenceId"] for _ in range(5)][::-1]
    pages = []
    for page in follow(user, count=count):
        pages.append(page)
        user.new_payment()
    assert [reference for page in pages for reference in page] == made


@pytest.mark.owasp(line="API1")
@pytest.mark.parametrize("role", ["USER", "PROVIDER", "LAB_ASSISTANT"])
def test_only_administrators_list_what_others_paid(
    people: People, user: Actor, admin: Actor, role: str
) -> None:
    mine = user.new_payment()["referenceId"]
    other = people.new(role)
    assert_problem(ask(other, userId=user.id), 403, code="forbidden")
    assert_problem(ask(other, userId=str(ObjectId())), 403, code="forbidden")
    assert references(ask(other)) == []
    assert references(ask(other, userId=other.id)) == []
    assert references(ask(other, providerId="anybody", minAmount=1)) == []
    assert references(ask(admin, userId=user.id)) == [mine]
    assert references(ask(admin, count=1)) != []


def test_filters_add_up(user: Actor, admin: Actor, sandbox: Sandbox) -> None:
    label = unique("desk-")
    paid, _ = user.buy(sandbox, amount=500, providerId=label)
    cheap = user.new_payment(amount=300, providerId=label)
    dear = user.new_payment(amount=900)
    of = {
        name: made["referenceId"]
        for name, made in (("paid", paid), ("cheap", cheap), ("dear", dear))
    }
    method = user.seen(of["paid"])["paymentMethod"]
    service = user.seen(of["paid"])["serviceType"]
    for filters, names in (
        ({"status": "success"}, ["paid"]),
        ({"status": "pending"}, ["dear", "cheap"]),
        ({"status": "refunded"}, []),
        ({"method": method}, ["paid"]),
        ({"method": "emandate"}, []),
        ({"serviceType": service}, ["dear", "cheap", "paid"]),
        ({"serviceType": "NOTHING"}, []),
        ({"providerId": label}, ["cheap", "paid"]),
        ({"minAmount": 500}, ["dear", "paid"]),
        ({"maxAmount": 500}, ["cheap", "paid"]),
        ({"minAmount": 301, "maxAmount": 899}, ["paid"]),
        ({"providerId": label, "status": "pending", "maxAmount": 300}, ["cheap"]),
    ):
        expected = [of[name] for name in names]
        assert references(ask(user, **filters)) == expected, filters
        assert references(ask(admin, userId=user.id, **filters)) == expected, filters
    assert sorted(references(ask(admin, providerId=label))) == sorted([of["paid"], of["cheap"]])


def test_a_period_is_inclusive_at_its_start_and_goes_on_over_pages(
    user: Actor, store: Store
) -> None:
    made = [user.new_payment()["referenceId"] for _ in range(6)]
    day = datetime(2026, 1, 31, 18, 30, tzinfo=UTC)  # midnight in India
    # Two of them at the same time, so that their references order them.
    times = [
        day - timedelta(seconds=1),
        day,
        day,
        day + timedelta(hours=5),
        day + timedelta(days=1),
    ]
    times.append(day + timedelta(days=2))
    for reference, at in zip(made, times, strict=True):
        store.payments.update_one({"referenceId": reference}, {"$set": {"createdAt": at}})
    newest = [made[3], *sorted(made[1:3], reverse=True)]
    for start, end in (
        ("2026-02-01", "2026-02-02"),
        ("2026-01-31T18:30:00Z", "2026-02-01T18:30:00Z"),
        ("2026-02-01T00:00:00+05:30", "2026-02-02T00:00:00+05:30"),
    ):
        pages = list(follow(user, **{"from": start, "to": end, "count": 1}))
        assert [reference for page in pages for reference in page] == newest
    assert references(ask(user, **{"to": "2026-02-01"})) == [made[0]]
    assert references(ask(user, **{"from": "2026-02-03"})) == [made[5]]
    # A place above the period: all of it is older.
    later = ask(user, **{"from": "2026-02-01", "to": "2026-02-02", "cursor": made[5]})
    assert references(later) == newest


def test_a_list_goes_on_after_a_row_that_cannot_be_read(user: Actor, store: Store) -> None:
    made = [user.new_payment()["referenceId"] for _ in range(4)][::-1]
    where = {"referenceId": made[1]}
    store.payments.update_one(where, {"$set": {"amount": "much"}})
    try:
        assert list(follow(user, count=2)) == [[made[0]], made[2:]]
        assert list(follow(user, count=1)) == [[made[0]], [], [made[2]], [made[3]]]
    finally:
        store.payments.update_one(where, {"$set": {"amount": 50_000}})


def test_a_payment_without_a_time_comes_last_and_in_no_period(user: Actor, store: Store) -> None:
    odd, *rest = [user.new_payment()["referenceId"] for _ in range(3)]
    store.payments.update_one({"referenceId": odd}, {"$unset": {"createdAt": ""}})
    assert list(follow(user, count=1)) == [[rest[1]], [rest[0]], [odd]]
    assert references(ask(user, **{"from": "2000-01-01"})) == rest[::-1]
    assert references(ask(user, **{"from": "2000-01-01", "cursor": odd})) == []


def test_a_row_that_no_driver_can_decode_hides_no_other(user: Actor, store: Store) -> None:
    """JavaScript's first and last time, and text that is not UTF-8: others write these."""
    made = [user.new_payment()["referenceId"] for _ in range(5)]
    for reference, milliseconds in ((made[0], -8_640_000_000_000_000), (made[-1], 2**48)):
        change = {"createdAt": DatetimeMS(milliseconds)}
        store.payments.update_one({"referenceId": reference}, {"$set": change})
    broken = RawBSONDocument(bson.encode({"$set": {"description": "caf~"}}).replace(b"~", b"\xe9"))
    store.payments.update_one({"referenceId": made[1]}, broken)
    try:
        order = made[-2::-1]  # nothing is dated later than the year 9999
        for count in (1, 2, 4):
            assert [each for page in follow(user, count=count) for each in page] == order
        assert references(ask(user, **{"from": "2000-01-01", "to": "2100-01-01"})) == order[:-1]
        assert len(user.history().json()) == 5
        assert [line["referenceId"] for line in user.history(cursor=made[-1]).json()] == order
        assert user.history(cursor=made[0]).json() == []
        for reference in made:
            assert user.seen(reference)["referenceId"] == reference
            assert user.call("POST", f"{PAYMENTS}/{reference}/cancel").status_code == 200
    finally:
        store.payments.delete_many({"referenceId": {"$in": made}})


def test_pages_cover_rows_with_times_of_any_form_once(user: Actor, store: Store) -> None:
    """As text, as a number, as null, not at all: newest first within each form, and after all real times."""
    made = [user.new_payment()["referenceId"] for _ in range(9)]
    forms = [None, None, 5, 7, 5, "2026-01-30T09:00:00Z", "2026-01-31T09:00:00Z", "$at"]
    for reference, at in zip(made, forms, strict=False):
        store.payments.update_one({"referenceId": reference}, {"$set": {"createdAt": at}})
    store.payments.update_one({"referenceId": made[1]}, {"$unset": {"createdAt": ""}})
    fives, nulls = sorted((made[4], made[2])), sorted(made[:2])
    order = [made[8], made[6], made[5], made[7], made[3], *fives[::-1], *nulls[::-1]]
    assert references(ask(user)) == order
    for count in (1, 2, 3):
        assert [each for page in follow(user, count=count) for each in page] == order
    pages, cursor = [], None
    while page := user.history(count=2, **({"cursor": cursor} if cursor else {})).json():
        pages += [line["referenceId"] for line in page]
        cursor = pages[-1]
    assert pages == order


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"status": "paid"}, "status"),
        ({"status": ""}, "status"),
        ({"method": "{$ne:1}"}, "method"),
        ({"method": "x" * 65}, "method"),
        ({"serviceType": "A B"}, "serviceType"),
        ({"providerId": "$where"}, "providerId"),
        ({"userId": "nobody"}, "userId"),
        ({"customer": "nobody"}, "customer"),
        ({"minAmount": 0}, "minAmount"),
        ({"minAmount": "1.5"}, "minAmount"),
        ({"maxAmount": 2**53 + 1}, "maxAmount"),
        ({"minAmount": 2, "maxAmount": 1}, "maxAmount"),
        ({"from": "yesterday-ish"}, "from"),
        ({"from": "2026-13-01"}, "from"),
        ({"from": "2026-01-02", "to": "2026-01-02"}, "to"),
        ({"cursor": "PAY_"}, "cursor"),
        ({"count": 0}, "count"),
        ({"count": 101}, "count"),
        ({"late": "perhaps"}, "late"),
        ({"disputed": "perhaps"}, "disputed"),
        ({"metadata": "cart"}, "metadata"),
        ({"metadata[]": "1"}, "metadata"),
        ({"metadata[a b]": "1"}, "metadata"),
        ({"metadata[$ne]": "1"}, "metadata"),
        ({"metadata[a][b]": "1"}, "metadata"),
        ({"metadata[a]": ["1", "2"]}, "metadata"),
        ({"metadata[a]": "1", "metadata[b]": "2"}, "metadata"),
        ({"metadata[a]": ""}, "metadata[a]"),
        ({"metadata[a]": "null"}, "metadata[a]"),
        ({"metadata[a]": '"half'}, "metadata[a]"),
        ({"metadata[a]": '"\\ud83d"'}, "metadata[a]"),
        ({"metadata[a]": "9" * 4000}, "metadata[a]"),
        ({"metadata[a]": str(2**53 + 1)}, "metadata[a]"),
        ({"metadata[a]": "x" * 257}, "metadata[a]"),
    ],
)
def test_a_bad_filter_is_refused_by_its_name(
    user: Actor, filters: dict[str, Any], field: str
) -> None:
    assert_problem(ask(user, **filters), 400, field=field)


def test_late_and_disputed_divide_a_list(user: Actor, admin: Actor, store: Store) -> None:
    both, late, disputed, neither = (user.new_payment()["referenceId"] for _ in range(4))
    for reference, marks in (
        (both, {"late": True, "disputed": True}),
        (late, {"late": True}),
        (disputed, {"disputed": True}),
    ):
        store.payments.update_one({"referenceId": reference}, {"$set": marks})
    for filters, expected in (
        ({"late": "true"}, [late, both]),
        ({"late": "false"}, [neither, disputed]),
        ({"disputed": "true"}, [disputed, both]),
        ({"disputed": "false"}, [neither, late]),
        ({"late": "true", "disputed": "true"}, [both]),
        ({"late": "false", "disputed": "false"}, [neither]),
    ):
        pages = follow(admin, userId=user.id, count=1, **filters)
        assert [reference for page in pages for reference in page] == expected, filters
    assert references(ask(user, late="true")) == [late, both]


@pytest.mark.owasp(line="API3")
def test_disputes_are_no_filter_for_payers(people: People, user: Actor, admin: Actor) -> None:
    for path in (PAYMENTS, f"{PAYMENTS}/totals"):
        month = {"from": "2026-01-01", "to": "2026-02-01"}
        for who in (user, people.new("PROVIDER"), people.new("LAB_ASSISTANT")):
            for wanted in ("true", "false"):
                params = {**month, "disputed": wanted}
                assert_problem(who.call("GET", path, params=params), 403, code="forbidden")
        shop = new_holder(admin, user, "USER", "payments:read")
        assert shop.call("GET", path, params={**month, "disputed": "true"}).status_code == 200


def test_metadata_is_searched_by_its_type(user: Actor, admin: Actor, people: People) -> None:
    cart, many = unique("cart-"), {f"n{number}": number for number in range(17)}
    text = user.new_payment(metadata={"n": "5", "cart.id": cart, "yes": "true", **many})
    number = user.new_payment(metadata={"n": 5, "cart.id": cart, "yes": True})
    people.new().new_payment(metadata={"n": 5, "cart.id": cart})
    of = {"text": text["referenceId"], "number": number["referenceId"]}
    for name, value, names in (
        ("n", "5", ["number"]),
        ("n", '"5"', ["text"]),
        ("yes", "true", ["number"]),
        ("yes", '"true"', ["text"]),
        ("yes", "false", []),
        ("cart.id", cart, ["number", "text"]),
        ("cart.id", f'"{cart}"', ["number", "text"]),
        ("cart.id", cart.upper(), []),
        ("cart", cart, []),
        ("n16", "16", ["text"]),
        ("n16", "-16", []),
    ):
        expected = [of[each] for each in names]
        entry = {f"metadata[{name}]": value}
        pages = follow(user, count=1, **entry)
        assert [each for page in pages for each in page] == expected, (name, value)
        assert references(ask(admin, userId=user.id, **entry)) == expected
    assert len(references(ask(admin, **{"metadata[cart.id]": cart}))) == 3


@pytest.mark.anyio
@pytest.mark.owasp(line="API4")
async def test_a_filter_that_finds_too_few_of_too_many_asks_for_a_period(
    in_process: InProcess, store: Store
) -> None:
    """To say that the database is away would make the client repeat the call for ever."""
    payer = ObjectId()
    rows = [{"userId": payer, "referenceId": f"{payer}_{n}", "createdAt": _AT} for n in range(5000)]
    await asyncio.to_thread(store.payments.insert_many, rows, ordered=False)
    try:
        async with in_process() as client:
            services = client.services
            found = PaymentListRepository(
                services.mongo, services.payment_repository, max_time_ms=1
            )
            share = FairShare(per_subject=1, in_flight=1)
            lists = PaymentLists(found, services.business_days, share)
            caller = Principal(str(payer), Role.USER, "session")
            with pytest.raises(InvalidInput, match="period") as caught:
                await lists.page(caller, Filters(provider_id="nobody"), 20, None)
            assert caught.value.field == "from"
            days = Filters(start="2026-01-01", end="2026-02-01")
            with pytest.raises(InvalidInput, match="period") as caught:
                await lists.totals(caller, days)
            assert caught.value.field == "from"
    finally:
        await asyncio.to_thread(store.payments.delete_many, {"userId": payer})


@pytest.fixture(scope="module")
def judge(mongo_server: MongoServer) -> Iterator[Judge]:
    with mongo_server.client() as client:
        yield Judge(client)


_AT = datetime(2026, 1, 31, tzinfo=UTC)
_ALONE: dict[str, dict[str, Any]] = {
    "status": {"status": Status.SUCCESS},
    "method": {"method": "upi"},
    "service type": {"service_type": "CONSULTATION"},
    "provider": {"provider": "desk"},
    "amounts": {"least": 1, "most": 9},
    "period": {"after": _AT, "before": _AT + timedelta(days=30)},
    "late": {"late": True},
    "not disputed": {"disputed": False},
    "customer": {"customer": str(ObjectId())},
}
_ENTRY = hash_entry("cart", "42")
_COMBINED = [each for size in range(len(_ALONE) + 1) for each in combinations(_ALONE, size)]


@pytest.mark.parametrize("payer", [None, str(ObjectId())], ids=["everybody's", "one's own"])
@pytest.mark.parametrize("place", [None, Place(_AT + timedelta(days=9), "PAY_9")], ids=["", "next"])
@pytest.mark.parametrize("entry", [None, _ENTRY], ids=["", "metadata"])
def test_every_combination_of_filters_is_served_by_an_index(
    judge: Judge, payer: str | None, place: Place | None, entry: str | None
) -> None:
    order: Json = {"createdAt": -1, "referenceId": -1}
    # Each alone and all together, and in one case in pairs: more would tell nothing new.
    sizes = {0, 1, len(_ALONE), *([2] if payer and place and not entry else [])}
    # A customer's few payments are looked at for an entry.
    combined = [each for each in _COMBINED if not (entry and "customer" in each)]
    for names in [each for each in combined if len(each) in sizes]:
        given = {name: value for each in names for name, value in _ALONE[each].items()}
        criteria = Criteria(payer=payer, entry=entry, **given)
        where, index = condition_of(criteria, place), index_for(criteria)
        query = Query("payments", where, order, {}, has_limit=True, hint=index)
        assert judge.faults_of(query) == [], names
