"""Customers of shops: found by the shop's own reference, seen by that shop alone, changed, and erased."""

import asyncio
import csv
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from bson import ObjectId

from kernapay.customers.dtos import CustomerGiven
from kernapay.customers.gstin import normalise_gstin
from kernapay.payments.dtos import PaymentCreate
from kernapay.payments.idempotency import fingerprint, fitting_fingerprint
from tests.actors import AUDIT, CUSTOMERS, PAYMENTS, Actor, People, assert_problem, data_of
from tests.aliases import Json, Store, json_of
from tests.databases import row_of
from tests.factories import new_email, payment_body, unique
from tests.house.scopes import KeyHolder, new_holder
from tests.in_process import InProcess
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Api, Sandbox, bearer

SCOPES = (
    *("payments:read", "payments:write", "refunds:write"),
    *("customers:read", "customers:write", "deliveries:read"),
)
NewShop = Callable[..., KeyHolder]
GSTIN = "27AAPFU0939F1ZV"


@pytest.fixture
def new_shop(people: People) -> NewShop:
    """Return a back end of a new account; with scopes, one with only these."""
    admin = people.new("ADMIN")
    return lambda *scopes: new_holder(admin, people.new(), "USER", *(scopes or SCOPES))


@pytest.fixture
def shop(new_shop: NewShop) -> KeyHolder:
    return new_shop()


def customer(**changes: Any) -> Json:
    return {
        "reference": unique("c-"),
        "email": new_email(),
        "name": "Ravi  Iyer",
        "contact": "+91 98765-43210",
        "gstin": GSTIN.lower(),
        "address": {"line1": "14 Lake Road", "city": "Pune", "postalCode": "411001"},
        **changes,
    }


def show(who: Actor, customer_id: str) -> Json:
    answer = who.call("GET", f"{CUSTOMERS}/{customer_id}")
    assert answer.status_code == 200, answer.text
    return json_of(answer)


def change(who: Actor, customer_id: str, **changes: Any) -> httpx.Response:
    return who.call("PATCH", f"{CUSTOMERS}/{customer_id}", json=changes)


def erase(who: Actor, customer_id: str) -> httpx.Response:
    return who.call("DELETE", f"{CUSTOMERS}/{customer_id}")


def rows_of(store: Store, shop: Actor) -> list[Json]:
    return list(store.customers.find({"shopId": ObjectId(shop.id)}))


def test_a_payment_enters_its_customer_and_names_them(
    shop: KeyHolder, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    given = customer()
    payment, _ = shop.buy(sandbox, customer=given)
    customer_id = payment["customerId"]
    shown = show(shop, customer_id)
    assert {name: shown[name] for name in (*given, "shopId", "erasedAt")} == {
        **given,
        "name": "Ravi Iyer",
        "contact": "+919876543210",
        "gstin": GSTIN,
        "address": {**dict.fromkeys(("line2", "state", "country")), **given["address"]},
        "shopId": shop.id,
        "erasedAt": None,
    }
    reference = payment["referenceId"]
    assert shop.seen(reference)["customerId"] == customer_id
    found = admin.call("GET", "/v1/api/admin/payments/search", params={"q": reference}).json()
    assert [each["customerId"] for each in found["payments"]] == [customer_id]
    window = {"from": "2020-01-01", "to": "2100-01-01"}
    exported = admin.call("GET", f"{PAYMENTS}/export", params=window).text.splitlines()
    columns = next(csv.DictReader([exported[0], *(row for row in exported if reference in row)]))
    assert columns["customerId"] == customer_id
    (order,) = sandbox.orders(row_of(store.payments, referenceId=reference)["receipt"])
    assert order["notes"].keys() == {"kernapay_payment"}
    assert customer_id not in str(order)


@pytest.mark.owasp(line="API1")
def test_a_reference_names_one_customer_of_a_shop_and_another_one_of_another(
    shop: KeyHolder, new_shop: NewShop, store: Store
) -> None:
    given = customer()
    first = shop.new_payment(customer=given)["customerId"]
    later = {"reference": given["reference"], "name": "Somebody Else"}
    assert shop.new_payment(customer=later)["customerId"] == first
    assert shop.new_payment(customerId=first)["customerId"] == first
    assert show(shop, first)["name"] == "Ravi Iyer"  # only a PATCH changes them
    other = new_shop()
    theirs = other.new_payment(customer=later)["customerId"]
    assert theirs != first
    assert show(other, theirs)["email"] is None
    assert len(rows_of(store, shop)) == len(rows_of(store, other)) == 1
    before = rows_of(store, shop)
    for answer in (
        other.call("GET", f"{CUSTOMERS}/{first}"),
        other.call("GET", f"{CUSTOMERS}/{first}/payments"),
        other.call("GET", CUSTOMERS, params={"cursor": first}),
        change(other, first, name="Mine"),
        erase(other, first),
        other.create(customerId=first),
        other.create(customerId=str(ObjectId())),
    ):
        assert_problem(answer, 404, code="not_found")
    listed = other.call("GET", PAYMENTS, params={"customer": first})
    assert json_of(listed) == {"payments": [], "nextCursor": None}
    assert rows_of(store, shop) == before


def test_without_a_reference_every_payment_is_for_a_new_customer(
    shop: KeyHolder, store: Store
) -> None:
    body = payment_body(customer={"email": new_email()})
    first = shop.create(body)
    assert first.status_code == 201
    for _ in range(2):
        again = shop.create(body)
        assert again.status_code == 200
        assert again.json() == first.json()
    assert len(rows_of(store, shop)) == 1
    other = shop.new_payment(customer=body["customer"])
    assert other["customerId"] != data_of(first)["customerId"]
    changed = shop.create({**body, "customer": {"email": new_email()}})
    assert_problem(changed, 409, code="idempotency_key_reused")
    assert len(rows_of(store, shop)) == 2


@pytest.mark.parametrize("has_reference", [True, False])
def test_of_many_at_once_one_enters_the_customer(
    shop: KeyHolder, api_server: Api, store: Store, has_reference: bool
) -> None:
    """With the same reference under keys of their own; without one, with the same key."""
    given = customer() if has_reference else {"email": new_email()}
    bodies = [payment_body(customer=given) for _ in range(16)]
    if not has_reference:
        bodies = [bodies[0]] * 16

    async def send_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            headers=bearer(shop.token), trust_env=False, timeout=30, verify=NO_AUTHORITIES
        ) as client:
            create = f"{api_server.url}{PAYMENTS}/create"
            return await asyncio.gather(*(client.post(create, json=body) for body in bodies))

    answers = asyncio.run(send_all())
    assert {answer.status_code for answer in answers} <= {200, 201}
    (row,) = rows_of(store, shop)
    assert {data_of(answer)["customerId"] for answer in answers} == {str(row["_id"])}
    of_payments = store.payments.distinct("customerId", {"userId": ObjectId(shop.id)})
    assert of_payments == [row["_id"]]


def test_only_a_shop_has_customers(
    shop: KeyHolder, user: Actor, admin: Actor, store: Store
) -> None:
    for person in (user, admin, new_holder(admin, admin, "ADMIN")):
        problem = assert_problem(person.create(customer=customer()), 403, code="forbidden")
        assert "API key of a USER account" in problem["detail"]
    both = shop.create(customer=customer(), customerId=str(ObjectId()))
    assert_problem(both, 400, field="customerId")
    assert rows_of(store, user) == rows_of(store, admin) == rows_of(store, shop) == []
    assert store.payments.count_documents({"userId": ObjectId(user.id)}) == 0


BAD_FIELDS: list[tuple[Json, str]] = [
    ({}, ""),
    ({"name": None, "email": None}, ""),
    ({"address": {}}, ""),
    ({"address": {"city": " "}}, ""),
    ({"reference": ""}, "reference"),
    ({"reference": "x" * 129}, "reference"),
    ({"reference": "a b"}, "reference"),
    ({"reference": {"$ne": ""}}, "reference"),
    ({"email": "nobody"}, "email"),
    ({"email": f"{'x' * 250}@example.com"}, "email"),
    ({"email": "a@exa mple.com"}, "email"),
    ({"name": " "}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": "gnp\u202eexe"}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"name": "\u3164"}, "name"),
    ({"contact": "9876543210"}, "contact"),
    ({"contact": "+91123"}, "contact"),
    ({"contact": "+91 98765 43210 98765 43210 98765 4"}, "contact"),
    ({"gstin": "27AAPFU0939F1ZW"}, "gstin"),
    ({"gstin": "27AAPFU0939F1Z"}, "gstin"),
    ({"gstin": "\uff12\uff17AAPFU0939F1ZV"}, "gstin"),
    ({"address": {"line1": "x" * 257}}, "address.line1"),
    ({"address": {"postalCode": "x" * 17}}, "address.postalCode"),
    ({"address": {"country": "india"}}, "address.country"),
    ({"address": {"planet": "Mars"}}, "address.planet"),
    ({"address": "Pune"}, "address"),
    ({"_id": "0" * 24}, "_id"),
    ({"shopId": "0" * 24}, "shopId"),
]


@pytest.mark.owasp(line="API8")
def test_a_bad_field_is_refused_by_its_name_and_nothing_is_written(
    shop: KeyHolder, store: Store
) -> None:
    for given, field in BAD_FIELDS:
        name = f"customer.{field}" if field else "customer"
        assert_problem(shop.create(customer=given), 400, field=name)
    assert rows_of(store, shop) == []
    assert store.payments.count_documents({"userId": ObjectId(shop.id)}) == 0


def test_every_single_character_of_a_gstin_counts() -> None:
    assert normalise_gstin(f" {GSTIN.lower()} ") == GSTIN
    for place in range(len(GSTIN)):
        for other in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            changed = f"{GSTIN[:place]}{other}{GSTIN[place + 1 :]}"
            assert normalise_gstin(changed) == (GSTIN if changed == GSTIN else None)
    # Of two real ones that are public, the check characters are a digit and a letter.
    assert normalise_gstin("29AAGCB7383J1Z4")


def test_customers_are_listed_newest_first_while_new_ones_come(
    shop: KeyHolder, admin: Actor
) -> None:
    made = [shop.new_payment(customer=customer())["customerId"] for _ in range(5)][::-1]
    for count in (1, 2, 5):
        seen, cursor = [], None
        while True:
            where = {"count": count} | ({"cursor": cursor} if cursor else {})
            page = shop.call("GET", CUSTOMERS, params=where).json()
            seen += [each["_id"] for each in page["customers"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
            shop.new_payment(customer={"name": "New"})
        assert seen[-5:] == made
        assert len(seen) == len(set(seen))
    everybodys = admin.call("GET", CUSTOMERS, params={"count": 100}).json()["customers"]
    assert set(made) <= {each["_id"] for each in everybodys}
    assert show(admin, made[0])["shopId"] == shop.id


def test_the_payments_of_a_customer_are_listed_with_the_filters_of_the_list(
    shop: KeyHolder, admin: Actor, sandbox: Sandbox
) -> None:
    given = customer()
    paid, _ = shop.buy(sandbox, customer=given, amount=500)
    open_one = shop.new_payment(customer=given, amount=900)
    shop.new_payment(customer=customer())
    shop.new_payment()
    customer_id = paid["customerId"]
    path = f"{CUSTOMERS}/{customer_id}/payments"

    def references(answer: httpx.Response) -> list[str]:
        assert answer.status_code == 200, answer.text
        lines = answer.json()["payments"]
        assert {line["customerId"] for line in lines} <= {customer_id}
        return [line["referenceId"] for line in lines]

    both = [open_one["referenceId"], paid["referenceId"]]
    for filters, expected in (
        ({}, both),
        ({"status": "success"}, both[1:]),
        ({"minAmount": 501}, both[:1]),
        ({"from": "2020-01-01", "to": "2020-01-02"}, []),
        ({"count": 1}, both[:1]),
        ({"count": 1, "cursor": both[0]}, both[1:]),
    ):
        for who in (shop, admin):
            assert references(who.call("GET", path, params=filters)) == expected, filters
            listed = who.call("GET", PAYMENTS, params={"customer": customer_id, **filters})
            assert references(listed) == expected, filters


def test_a_change_sets_what_is_given_and_removes_what_is_null(
    shop: KeyHolder, admin: Actor, store: Store
) -> None:
    given = customer()
    customer_id = shop.new_payment(customer=given)["customerId"]
    changed = change(shop, customer_id, name="Ravi R. Iyer", gstin=None, reference=None)
    assert changed.status_code == 200, changed.text
    assert json_of(changed) == show(shop, customer_id)
    (row,) = rows_of(store, shop)
    assert row.keys() & {"gstin", "reference"} == set()
    assert (changed.json()["name"], changed.json()["email"]) == ("Ravi R. Iyer", given["email"])
    # Its reference is free again, and nobody else's can be taken.
    second = shop.new_payment(customer=given)["customerId"]
    assert second != customer_id
    taken = change(shop, customer_id, reference=given["reference"])
    assert_problem(taken, 409, field="reference", code="reference_taken")
    # Two without a reference do not stand in each other's way.
    assert change(admin, second, reference=None).status_code == 200
    where = {"target": f"customer:{second}"}
    (entry,) = admin.call("GET", AUDIT, params=where).json()["entries"]
    assert (entry["action"], entry["after"]) == ("customer.change", {"changed": ["reference"]})
    for names in ((), ("email", "name", "contact", "address")):
        emptied = change(shop, customer_id, **dict.fromkeys(names))
        assert_problem(emptied, 400, field="body")
    for bad, field in BAD_FIELDS:
        if field:
            assert_problem(change(shop, customer_id, **bad), 400, field=field)
    assert show(shop, customer_id)["name"] == "Ravi R. Iyer"


def test_an_erased_customer_leaves_the_ledger_and_nothing_personal(
    shop: KeyHolder, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    given = customer(name="Zebulon Quux")
    body = payment_body(customer=given)
    payment = data_of(shop.create(body))
    sandbox.pay(payment["orderId"])
    customer_id, reference = payment["customerId"], payment["referenceId"]
    erased = erase(shop, customer_id)
    assert erased.status_code == 200, erased.text
    assert erased.json()["erasedAt"] is not None
    assert json_of(erase(admin, customer_id)) == json_of(erased) == show(shop, customer_id)
    (row,) = rows_of(store, shop)
    times = {"createdAt", "updatedAt", "erasedAt"}
    assert row.keys() == {"_id", "shopId", *times, "followUpAt", "followUps"}
    assert_problem(shop.create(customerId=customer_id), 409, code="customer_erased")
    assert_problem(change(shop, customer_id, name="Back"), 409, code="customer_erased")
    (entry,) = admin.call("GET", AUDIT, params={"target": f"customer:{customer_id}"}).json()[
        "entries"
    ]
    assert (entry["action"], entry["actor"]) == ("customer.erase", shop.id)
    # What was bought stays, and an old key is still answered.
    assert shop.seen(reference)["customerId"] == customer_id
    nothing = {"name": None, "email": None, "contact": None}
    assert data_of(shop.create(body)) == {**payment, "prefill": nothing}
    # Whoever comes back under the same reference is somebody new.
    assert shop.new_payment(customer=given)["customerId"] != customer_id


@pytest.mark.anyio
@pytest.mark.owasp(line="API6")
async def test_a_shop_has_many_unpaid_payments_and_a_customer_few(
    in_process: InProcess, shop: KeyHolder
) -> None:
    headers = bearer(shop.token)
    async with in_process(unpaid_per_customer=2) as client:

        async def create(**changes: Any) -> httpx.Response:
            body = payment_body(**changes)
            return await client.post(f"{PAYMENTS}/create", json=body, headers=headers)

        given = {"customer": {"reference": "c-1"}}
        made = [await create(**given) for _ in range(2)]
        assert_problem(await create(**given), 409, code="too_many_unpaid")
        customer_id = data_of(made[0])["customerId"]
        assert_problem(await create(customerId=customer_id), 409, code="too_many_unpaid")
        # Who has an order already gets it again, and other customers and the shop itself are not held up.
        first = payment_body(customer={"reference": "c-2"})
        for status in (201, 200):
            answer = await client.post(f"{PAYMENTS}/create", json=first, headers=headers)
            assert answer.status_code == status
        for other in ({"customer": {"reference": "c-3"}}, {}, {}, {}):
            assert (await create(**other)).status_code == 201
        path = f"{PAYMENTS}/{data_of(made[0])['referenceId']}/cancel"
        assert (await client.post(path, headers=headers)).status_code == 200
        assert (await create(**given)).status_code == 201


def test_old_keys_are_answered_whichever_secret_made_their_fingerprints() -> None:
    """A change of JWT_SECRET breaks no key in flight, and neither does the field for payments without a customer."""
    given = CustomerGiven(email="ravi@example.com")
    plain = PaymentCreate(500, "INR", "CONSULTATION")
    data = PaymentCreate(500, "INR", "CONSULTATION", customer=given)
    before = fingerprint(data, b"old")
    assert fitting_fingerprint(data, [b"new", b"old"], before) == before
    assert fitting_fingerprint(data, [b"new"], before) == fingerprint(data, b"new") != before
    assert fitting_fingerprint(data, [b"new", b"old"], None) == fingerprint(data, b"new")
    assert fitting_fingerprint(plain, [b"new"], None) == fingerprint(plain)
    assert fingerprint(data, b"new") != fingerprint(
        msgspec.structs.replace(data, customer=CustomerGiven(email="asha@example.com")), b"new"
    )
