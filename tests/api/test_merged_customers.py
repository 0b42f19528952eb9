"""A customer that becomes a part of another one: both ids go on, the payments follow, whoever acts meanwhile."""

import asyncio
import csv
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.customers.models import Customer
from tests.actors import AUDIT, CUSTOMERS, PAYMENTS, Actor, People, assert_problem, data_of
from tests.aliases import Json, Store, json_of
from tests.clocks import FrozenClock
from tests.databases import row_of
from tests.factories import new_email, payment_body, unique
from tests.house.scopes import KeyHolder, new_holder
from tests.in_process import InProcess
from tests.stack import Api, Sandbox, bearer

SCOPES = (
    *("payments:read", "payments:write", "refunds:write"),
    *("customers:read", "customers:write"),
)
NewShop = Callable[[], KeyHolder]


@pytest.fixture
def new_shop(people: People, admin: Actor) -> NewShop:
    return lambda: new_holder(admin, people.new(), "USER", *SCOPES)


@pytest.fixture
def shop(new_shop: NewShop) -> KeyHolder:
    return new_shop()


def enter(shop: KeyHolder) -> Json:
    """Create a payment for a new customer."""
    given = {"reference": unique("c-"), "email": new_email(), "name": "Ravi Iyer"}
    return {**shop.new_payment(customer=given), "given": given}


def merge(who: Actor, customer_id: str, into: str) -> httpx.Response:
    return who.call("POST", f"{CUSTOMERS}/{customer_id}/merge", json={"into": into})


def show(who: Actor, customer_id: str) -> Json:
    answer = who.call("GET", f"{CUSTOMERS}/{customer_id}")
    assert answer.status_code == 200, answer.text
    return json_of(answer)


def customers_of_payments(store: Store, shop: Actor) -> set[str]:
    return {
        str(each) for each in store.payments.distinct("customerId", {"userId": ObjectId(shop.id)})
    }


def test_a_merged_customer_answers_and_its_payments_are_those_of_the_other_one(
    shop: KeyHolder, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    kept = enter(shop)
    body = payment_body(customer={"reference": unique("c-"), "email": new_email()})
    first = data_of(shop.create(body))
    old = first["customerId"]
    sold, _ = shop.buy(sandbox, customerId=old)
    steps = shop.seen(sold["referenceId"])["history"]

    merged = merge(shop, old, kept["customerId"])

    assert merged.status_code == 200, merged.text
    assert json_of(merged) == show(shop, old) == json_of(merge(admin, old, kept["customerId"]))
    assert (merged.json()["mergedInto"], merged.json()["reference"], merged.json()["email"]) == (
        *(kept["customerId"], body["customer"]["reference"], None),
    )
    assert show(shop, kept["customerId"])["email"] == kept["given"]["email"]
    # Whatever shows a payment shows who stays, under either id.
    references = {each["referenceId"] for each in (kept, first, sold)}
    for customer_id in (old, kept["customerId"]):
        for path, where in (
            (PAYMENTS, {"customer": customer_id}),
            (f"{CUSTOMERS}/{customer_id}/payments", {}),
        ):
            lines = shop.call("GET", path, params=where).json()["payments"]
            assert {line["referenceId"] for line in lines} == references
            assert {line["customerId"] for line in lines} == {kept["customerId"]}
    window = {"from": "2020-01-01", "to": "2100-01-01"}
    exported = admin.call("GET", f"{PAYMENTS}/export", params=window).text.splitlines()
    lines = csv.DictReader([exported[0], *(row for row in exported if shop.id in row)])
    assert {line["customerId"] for line in lines} == {kept["customerId"]}
    seen = shop.seen(sold["referenceId"])
    assert (seen["customerId"], seen["history"]) == (kept["customerId"], steps)
    # The old reference and the old id are for who stays, and so is the old key.
    for given in ({"customer": body["customer"]}, {"customerId": old}):
        assert shop.new_payment(**given)["customerId"] == kept["customerId"]
    again = data_of(shop.create(body))
    assert (again["referenceId"], again["customerId"]) == (first["referenceId"], kept["customerId"])
    assert again["prefill"]["email"] == kept["given"]["email"]
    refund = {"amount": 100, "idempotencyKey": unique()}
    path = f"{PAYMENTS}/{sold['referenceId']}/refunds"
    assert shop.call("POST", path, json=refund).status_code in (200, 201)
    for changes in ({"name": "Back"}, {"reference": None}):
        changed = shop.call("PATCH", f"{CUSTOMERS}/{old}", json=changes)
        assert_problem(changed, 409, code="customer_merged")
    (entry,) = admin.call("GET", AUDIT, params={"target": f"customer:{old}"}).json()["entries"]
    assert (entry["action"], entry["actor"], entry["after"]) == (
        *("customer.merge", shop.id, {"into": kept["customerId"]}),
    )


@pytest.mark.owasp(line="API1")
def test_nobody_merges_across_shops(
    shop: KeyHolder, new_shop: NewShop, admin: Actor, store: Store
) -> None:
    own, other = enter(shop)["customerId"], new_shop()
    theirs = enter(other)["customerId"]
    before = list(
        store.customers.find({"shopId": {"$in": [ObjectId(shop.id), ObjectId(other.id)]}})
    )
    nobody = str(ObjectId())
    assert_problem(merge(shop, theirs, own), 404)
    for who in (shop, admin):
        for into in (theirs, nobody):
            assert_problem(merge(who, own, into), 404, field="into")
        assert_problem(merge(who, own, own), 400, field="into")
        assert_problem(merge(who, nobody, own), 404)
    for bad in ("", "x", {"$ne": ""}, None):
        answer = shop.call("POST", f"{CUSTOMERS}/{own}/merge", json={"into": bad})
        assert_problem(answer, 400, field="into")
    assert [row for row in before if row != row_of(store.customers, _id=row["_id"])] == []


def test_merges_go_on_from_one_to_the_next_and_never_round_in_a_circle(
    shop: KeyHolder, store: Store
) -> None:
    a, b, c, d = (enter(shop)["customerId"] for _ in range(4))
    assert merge(shop, a, b).status_code == merge(shop, b, c).status_code == 200
    assert {show(shop, each)["mergedInto"] for each in (a, b)} == {c}
    assert customers_of_payments(store, shop) == {c, d}
    for into in (a, b, c):
        assert_problem(merge(shop, c, into), 400, field="into")
    assert_problem(merge(shop, a, d), 409, code="customer_merged")
    # Into one that was merged means into the one that stays.
    assert json_of(merge(shop, d, a))["mergedInto"] == c
    assert customers_of_payments(store, shop) == {c}


@pytest.mark.anyio
async def test_of_merges_that_together_are_a_circle_one_fails(
    in_process: InProcess, shop: KeyHolder
) -> None:
    """Each has read its customers before the first of them writes."""
    ids = [enter(shop)["customerId"] for _ in range(3)]
    async with in_process() as client:
        rows = client.services.customer_repository

        async def read(customer_id: str) -> Customer:
            found = await rows.find(customer_id, shop.id)
            assert found is not None
            return found

        read_before = [(await read(one), await read(ids[n - 1])) for n, one in enumerate(ids)]
        begun = [await rows.begin_merge(kept) for _, kept in read_before]
        made = [await rows.merge(one, kept, {}) for one, kept in read_before]
        assert begun == [True] * 3
        assert made == [False] * 3
        # Alone, it may.
        one, kept = await read(ids[0]), await read(ids[1])
        assert await rows.begin_merge(kept)
        assert await rows.merge(one, kept, {})
        assert not await rows.begin_merge(one)


def test_of_many_merges_at_once_each_customer_goes_one_way(
    shop: KeyHolder, api_server: Api, store: Store
) -> None:
    ids = [enter(shop)["customerId"] for _ in range(4)]
    pairs = [(one, into) for one in ids for into in ids if one != into]

    async def send_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            headers=bearer(shop.token), trust_env=False, timeout=30
        ) as client:
            url = f"{api_server.url}{CUSTOMERS}"
            return await asyncio.gather(
                *(client.post(f"{url}/{one}/merge", json={"into": into}) for one, into in pairs)
            )

    answers = asyncio.run(send_all())
    assert {answer.status_code for answer in answers} <= {200, 400, 409}
    kept = {show(shop, each)["mergedInto"] or each for each in ids}
    stays = [each for each in ids if show(shop, each)["mergedInto"] is None]
    assert kept == set(stays)
    for one in stays[1:]:
        assert merge(shop, one, stays[0]).status_code == 200
    assert customers_of_payments(store, shop) == {stays[0]}


def put_back(store: Store, payment: Json, old: Json) -> None:
    """Let a payment be for a merged customer, as if its creation had been under way."""
    where = {"referenceId": payment["referenceId"]}
    store.payments.update_one(where, {"$set": {"customerId": ObjectId(old["customerId"])}})


async def follow_up(services: Services) -> None:
    while await services.customer_follow_ups.sweep():
        pass


@pytest.mark.anyio
async def test_a_payment_that_was_created_beside_the_merge_follows_by_the_worker(
    in_process: InProcess, shop: KeyHolder, store: Store
) -> None:
    old, kept = enter(shop), enter(shop)
    assert merge(shop, old["customerId"], kept["customerId"]).status_code == 200
    clock = FrozenClock(now() + timedelta(seconds=1))
    where = {"_id": ObjectId(old["customerId"])}
    async with in_process(clock=clock) as client:
        for pause in (timedelta(0), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)):
            # It had found the customer before the merge.
            late = shop.new_payment()
            await asyncio.to_thread(put_back, store, late, old)
            assert "followUpAt" in await asyncio.to_thread(row_of, store.customers, **where)
            clock.advance(pause - timedelta(seconds=5) if pause else pause)
            if pause:
                await follow_up(client.services)
                assert shop.seen(late["referenceId"])["customerId"] == old["customerId"]
            clock.advance(timedelta(seconds=6))
            await follow_up(client.services)
            assert shop.seen(late["referenceId"])["customerId"] == kept["customerId"]
    row = await asyncio.to_thread(row_of, store.customers, **where)
    assert row.keys() & {"followUpAt", "followUps"} == set()


@pytest.mark.anyio
@pytest.mark.owasp(line="API6")
async def test_by_merging_nobody_gets_more_unpaid_payments(
    in_process: InProcess, shop: KeyHolder, store: Store
) -> None:
    async with in_process(unpaid_per_customer=2) as client:

        async def create(**changes: Any) -> httpx.Response:
            body = payment_body(**changes)
            return await client.post(f"{PAYMENTS}/create", json=body, headers=bearer(shop.token))

        old, kept = enter(shop), enter(shop)
        assert (await create(customerId=kept["customerId"])).status_code == 201
        assert merge(shop, old["customerId"], kept["customerId"]).status_code == 200
        # Three now, and two of them count also where the third has not followed yet.
        refused = {"code": "too_many_unpaid"}
        for customer_id in (old["customerId"], kept["customerId"]):
            assert_problem(await create(customerId=customer_id), 409, **refused)
        path = f"{PAYMENTS}/{kept['referenceId']}/cancel"
        assert shop.call("POST", path).status_code == 200
        await asyncio.to_thread(put_back, store, old, old)
        assert_problem(await create(customerId=kept["customerId"]), 409, **refused)
        path = f"{PAYMENTS}/{old['referenceId']}/cancel"
        assert shop.call("POST", path).status_code == 200
        assert (await create(customerId=old["customerId"])).status_code == 201
