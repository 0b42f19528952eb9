"""Payments that a shop made for a customer, and the account of the same person: asked for, granted, to look only."""

from collections.abc import Callable

import httpx
import pytest
from bson import ObjectId

from tests.actors import (
    ADMIN_USERS,
    AUDIT,
    CUSTOMERS,
    PAYMENTS,
    Actor,
    People,
    assert_problem,
    request_refund,
)
from tests.aliases import Json, Store, json_of
from tests.databases import row_of
from tests.factories import new_email, unique
from tests.house.scopes import KeyHolder, new_holder
from tests.money.disputes import invented, tell
from tests.stack import Sandbox

pytestmark = pytest.mark.owasp(line="API1")
NewShop = Callable[[], KeyHolder]
GRANTED = f"{PAYMENTS}/granted"


@pytest.fixture
def new_shop(people: People, admin: Actor) -> NewShop:
    scopes = ("payments:read", "payments:write", "customers:read", "customers:write")
    return lambda: new_holder(admin, people.new(), "USER", *scopes)


@pytest.fixture
def shop(new_shop: NewShop) -> KeyHolder:
    return new_shop()


def claim(who: Actor, payment: Json) -> httpx.Response:
    return who.call("POST", f"{PAYMENTS}/{payment['referenceId']}/claim")


def grant(who: Actor, customer_id: str, account: Actor) -> httpx.Response:
    body = {"accountId": account.id}
    return who.call("POST", f"{CUSTOMERS}/{customer_id}/grant", json=body)


def revoke(who: Actor, customer_id: str) -> httpx.Response:
    return who.call("DELETE", f"{CUSTOMERS}/{customer_id}/grant")


def assert_sees_nothing(who: Actor, payment: Json) -> None:
    reference, customer_id = payment["referenceId"], payment["customerId"]
    assert_problem(who.show(reference), 404, code="not_found")
    assert_problem(who.call("GET", f"{PAYMENTS}/{reference}/receipt"), 404, code="not_found")
    for path in ("", "/payments"):
        assert_problem(who.call("GET", f"{CUSTOMERS}/{customer_id}{path}"), 404, code="not_found")
    assert who.call("GET", GRANTED).json() == []


def test_what_a_shop_grants_its_customer_can_look_at_and_do_nothing_with(
    shop: KeyHolder, people: People, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    given = {"reference": unique("c-"), "email": new_email(), "name": "Ravi Iyer"}
    words = unique("words-")
    changes = {"customer": given, "metadata": {"for": words}, "notes": {"for": words}}
    payment, checkout = shop.buy(sandbox, **changes)
    tell(people.client, "created", invented(checkout["razorpay_payment_id"], amount=100))
    customer_id, reference = payment["customerId"], payment["referenceId"]
    other = shop.new_payment(customer={"reference": unique("c-")})
    person = people.new(email=given["email"], verified=True)
    assert_sees_nothing(person, payment)

    for _ in range(2):
        asked = claim(person, payment)
        assert asked.status_code == 202, asked.text
        facts = {"referenceId": reference, "customerId": customer_id, "granted": False}
        assert json_of(asked) == facts
    # To ask gives nothing yet.
    assert_sees_nothing(person, payment)
    shown = shop.call("GET", f"{CUSTOMERS}/{customer_id}").json()
    assert (shown["claim"]["accountId"], shown["accountId"]) == (person.id, None)
    granted = grant(shop, customer_id, person)

    assert granted.status_code == 200, granted.text
    assert json_of(grant(admin, customer_id, person)) == json_of(granted)
    assert (granted.json()["accountId"], granted.json()["claim"]) == (person.id, None)
    assert claim(person, payment).json()["granted"] is True
    later = shop.new_payment(customerId=customer_id)
    seen = person.seen(reference)
    own = shop.seen(reference)
    assert (own["notes"], own["metadata"]) == ({"for": words}, {"for": words})
    assert len(own["disputes"]) == 1
    assert words not in str(seen)
    assert seen["disputes"] == []
    assert (seen["amount"], seen["status"]) == (own["amount"], "success")
    assert person.call("GET", f"{PAYMENTS}/{reference}/receipt").status_code == 200
    (line,) = person.call("GET", GRANTED).json()
    assert person.call("GET", GRANTED, params={"skip": 1}).json() == []
    assert (line["customerId"], line["shopId"]) == (customer_id, shop.id)
    listed = person.call("GET", f"{CUSTOMERS}/{customer_id}/payments").json()["payments"]
    assert [each["referenceId"] for each in listed] == [later["referenceId"], reference]
    # It can look, at these, and that is all.
    for answer in (
        person.call("GET", f"{CUSTOMERS}/{customer_id}"),
        person.call("PATCH", f"{CUSTOMERS}/{customer_id}", json={"name": "Mine"}),
        person.call("DELETE", f"{CUSTOMERS}/{customer_id}"),
        grant(person, customer_id, person),
        revoke(person, customer_id),
        person.call("POST", f"{PAYMENTS}/{later['referenceId']}/cancel"),
        person.show(other["referenceId"]),
        person.call("GET", f"{CUSTOMERS}/{other['customerId']}/payments"),
    ):
        assert_problem(answer, 404, code="not_found")
    assert request_refund(person, payment, 100).status_code in (403, 404)
    assert person.history().json() == []
    listed = person.call("GET", PAYMENTS, params={"customer": customer_id}).json()["payments"]
    assert listed == []
    assert row_of(store.payments, referenceId=reference)["userId"] == ObjectId(shop.id)

    for _ in range(2):
        assert revoke(shop, customer_id).status_code == 200
        assert_sees_nothing(person, payment)
    entries = admin.call("GET", AUDIT, params={"target": f"customer:{customer_id}"})
    actions = [(each["action"], each["after"]) for each in entries.json()["entries"]]
    assert actions == [
        ("customer.revoke_grant", None),
        ("customer.grant", {"accountId": person.id}),
    ]


@pytest.mark.owasp(line="API3")
def test_whoever_may_look_finds_out_by_no_filter_what_is_not_shown(
    shop: KeyHolder, people: People, admin: Actor, store: Store
) -> None:
    given = {"reference": unique("c-"), "email": new_email()}
    payment = shop.new_payment(customer=given, metadata={"vip": True}, amount=50_000)
    reference, path = payment["referenceId"], f"{CUSTOMERS}/{payment['customerId']}/payments"
    marks = {"$set": {"late": True, "disputed": True}}
    store.payments.update_one({"referenceId": reference}, marks)
    person = people.new(email=given["email"], verified=True)
    claim(person, payment)
    assert grant(shop, payment["customerId"], person).status_code == 200
    hidden = (("metadata[vip]", "true"), ("disputed", "true"), ("late", "true"))

    # A key of the same account may do no more.
    for who in (person, new_holder(admin, person, "USER", "payments:read")):
        for name, value in hidden:
            for asked in (value, "false"):
                answer = who.call("GET", path, params={name: asked})
                field = name.partition("[")[0]
                assert_problem(answer, 403, field=field, code="forbidden")
        for shown in ({"status": "pending"}, {"minAmount": 50_000}, {"from": "2020-01-01"}):
            found = json_of(who.call("GET", path, params=shown))["payments"]
            assert [each["referenceId"] for each in found] == [reference], shown
    # The shop and administrators search as before.
    for who in (shop, admin):
        for name, value in hidden:
            found = json_of(who.call("GET", path, params={name: value}))["payments"]
            assert [each["referenceId"] for each in found] == [reference], name


def test_only_the_verified_owner_of_the_address_asks_and_only_the_shop_or_an_admin_grants(
    shop: KeyHolder, new_shop: NewShop, people: People, admin: Actor, sandbox: Sandbox
) -> None:
    email = new_email()
    payment, _ = shop.buy(sandbox, customer={"reference": unique("c-"), "email": email})
    customer_id = payment["customerId"]
    person = people.new(email=email)
    stranger = people.new(verified=True)
    # Whoever signs up with an address has not shown that it is theirs.
    assert_problem(claim(person, payment), 403, code="forbidden")
    # The reference is on a receipt, which others may have seen.
    for who in (stranger, people.new("USER", verified=True)):
        assert_problem(claim(who, payment), 404, code="not_found")
    nothing = {"referenceId": f"PAY_{'0' * 24}_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA"}
    unknown = claim(stranger, nothing)
    assert unknown.json()["detail"] == claim(stranger, payment).json()["detail"]
    assert_problem(claim(stranger, stranger.new_payment()), 404)
    assert claim(shop, payment).status_code == 403  # a key is no person
    # Nobody is given what they have not asked for, not even by an administrator.
    for who, account in ((shop, person), (shop, stranger), (admin, stranger), (shop, shop)):
        assert_problem(grant(who, customer_id, account), 409, code="nothing_claimed")
    people._store.users.update_one(
        {"_id": ObjectId(person.id)}, {"$set": {"isEmailVerified": True}}
    )
    assert claim(person, payment).status_code == 202
    assert_problem(grant(new_shop(), customer_id, person), 404)
    assert_problem(grant(stranger, customer_id, stranger), 404)
    assert_problem(grant(shop, customer_id, stranger), 409, code="nothing_claimed")
    # The shop finds out that the address was another one: the claim was for that.
    changed = shop.call("PATCH", f"{CUSTOMERS}/{customer_id}", json={"email": new_email()})
    assert changed.status_code == 200
    assert_problem(grant(shop, customer_id, person), 409, code="nothing_claimed")
    back = shop.call("PATCH", f"{CUSTOMERS}/{customer_id}", json={"email": email})
    assert back.status_code == 200
    # An account that is locked out gets nothing.
    lock = f"{ADMIN_USERS}/{person.id}/deactivate"
    assert admin.call("POST", lock).status_code == 200
    assert_problem(grant(shop, customer_id, person), 409, code="nothing_claimed")
    assert_sees_nothing(stranger, payment)


def test_an_account_without_an_address_is_not_that_of_a_customer_without_one(
    shop: KeyHolder, people: People, admin: Actor
) -> None:
    given = {"reference": unique("c-"), "email": new_email()}
    payment = shop.new_payment(customer=given)
    person = people.new(email=given["email"], verified=True)
    assert claim(person, payment).status_code == 202
    # The shop finds out that the address was wrong, and whoever claimed is locked out.
    path = f"{CUSTOMERS}/{payment['customerId']}"
    assert shop.call("PATCH", path, json={"email": None}).status_code == 200
    assert_problem(grant(shop, payment["customerId"], person), 409, code="nothing_claimed")
    account = f"{ADMIN_USERS}/{person.id}"
    assert admin.call("POST", f"{account}/deactivate").status_code == 200
    for who in (shop, admin):
        refused = grant(who, payment["customerId"], person)
        assert_problem(refused, 409, code="nothing_claimed")
    assert shop.call("GET", path).json()["accountId"] is None


def test_a_grant_ends_with_the_customer_and_with_the_account(
    shop: KeyHolder, people: People, admin: Actor, store: Store
) -> None:
    def give(**changes: str) -> tuple[Json, Actor]:
        email = new_email()
        payment = shop.new_payment(customer={"reference": unique("c-"), "email": email, **changes})
        person = people.new(email=email, verified=True)
        assert claim(person, payment).status_code == 202
        assert grant(shop, payment["customerId"], person).status_code == 200
        assert person.seen(payment["referenceId"])["customerId"] == payment["customerId"]
        return payment, person

    # Merged into another one: that one's holder sees what is now for it, and this one's sees no more of it.
    old, old_person = give()
    kept, kept_person = give()
    path = f"{CUSTOMERS}/{old['customerId']}/merge"
    assert shop.call("POST", path, json={"into": kept["customerId"]}).status_code == 200
    assert_problem(old_person.show(old["referenceId"]), 404)
    assert kept_person.seen(old["referenceId"])["customerId"] == kept["customerId"]
    # Erased.
    assert shop.call("DELETE", f"{CUSTOMERS}/{kept['customerId']}").status_code == 200
    assert_problem(kept_person.show(kept["referenceId"]), 404)
    # The account is erased; whoever has the address next starts from nothing.
    payment, person = give()
    email = person.email
    for step in ("deactivate", "erase"):
        assert admin.call("POST", f"{ADMIN_USERS}/{person.id}/{step}").status_code == 200
    row = row_of(store.customers, _id=ObjectId(payment["customerId"]))
    assert row.keys() & {"accountId", "grantedAt", "claim"} == set()
    assert_problem(people.new(email=email, verified=True).show(payment["referenceId"]), 404)
