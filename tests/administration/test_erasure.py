"""Whoever is erased is in no collection and in no file any more; the books still are."""

import asyncio
import json
from pathlib import Path
from typing import Any

import bson
import httpx
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.deliveries.text_erasure import clear_texts
from kernapay.payments.order_notes import NOTE
from kernapay.webhooks.personal import remove_personal
from tests.actors import (
    ADMIN_USERS,
    AUDIT,
    CUSTOMERS,
    ENDPOINTS,
    PAYMENTS,
    USERS,
    Actor,
    People,
    assert_problem,
    data_of,
    request_refund,
    send_event,
)
from tests.aliases import Json, Store, json_of
from tests.databases import row_of
from tests.factories import PASSWORD, gateway_payment, payment_body, sign_up_body, unique
from tests.house.scopes import new_holder
from tests.in_process import InProcess
from tests.money.disputes import DISPUTES, invented, tell
from tests.stack import Sandbox
from tests.waiting import eventually


def places_of(store: Store, text: str) -> set[str]:
    """Return the collections that have a text anywhere: in a value, in a name, in bytes."""
    wanted, options = text.encode(), store.codec_options
    return {
        name
        for name in store.list_collection_names(filter={"name": {"$not": {"$regex": "^system"}}})
        if any(wanted in bson.encode(row, codec_options=options) for row in store[name].find())
    }


def receive(client: httpx.Client, order_id: str, person: Json, **changes: Any) -> None:
    """Deliver what the gateway tells of a payment, with all that the payer typed into Checkout."""
    card = {"entity": "card", "name": person["name"], "last4": "1111", "network": "Visa"}
    told = {
        **gateway_payment(order_id, method="card", **changes),
        "email": person["email"],
        "contact": person["contact"],
        "vpa": person["email"],
        "card": card,
        "upi": {"vpa": person["email"]},
        "notes": {"email": person["email"], "for": person["name"]},
        "description": f"Consultation for {person['name']}",
    }
    assert send_event(client, "payment.captured", payment=told).status_code == 200


def new_person() -> Json:
    mark = unique()
    return {
        "name": f"Zebulon {mark}",
        "email": f"zebulon.{mark}@example.com",
        "contact": "+9198" + str(int(mark, 16))[:8],
    }


def work(in_process: InProcess, store: Store) -> None:
    """Do what the worker has to do for events and for erasures."""
    # The turn of the worker before, which has ended.
    store.locks.delete_one({"_id": "relay"})

    async def sweep() -> None:
        async with in_process() as client:
            while await client.services.relay.sweep():
                pass
            while await client.services.customer_follow_ups.sweep():
                pass

    asyncio.run(sweep())


def test_an_erased_customer_is_nowhere_and_the_books_are_whole(
    in_process: InProcess,
    people: People,
    admin: Actor,
    sandbox: Sandbox,
    store: Store,
    api_env: dict[str, str],
) -> None:
    person, words = new_person(), unique("words-")
    scopes = ("payments:read", "payments:write", "refunds:write", "customers:write")
    shop = new_holder(admin, people.new(), "USER", *scopes, "customers:read")
    endpoint = admin.new_endpoint()

    def sell() -> tuple[Json, str, str]:
        given = {**person, "reference": person["email"], "address": {"line1": person["name"]}}
        body = payment_body(customer=given, description=words, metadata={"for": words})
        payment = data_of(shop.create(body))
        paid = sandbox.pay(payment["orderId"])["razorpay_payment_id"]
        receive(people.client, payment["orderId"], person, id=paid)
        assert request_refund(shop, payment, 100, reason=words).status_code == 201
        stored = shop.call("POST", f"{PAYMENTS}/{payment['referenceId']}/receipt")
        assert stored.status_code == 200, stored.text
        return payment, paid, stored.json()["name"]

    payment, paid, receipt = sell()
    customer_id, reference = payment["customerId"], payment["referenceId"]
    twin = shop.new_payment(customer={"reference": f"{person['email']}/2"})["customerId"]
    path = f"{CUSTOMERS}/{twin}/merge"
    assert shop.call("POST", path, json={"into": customer_id}).status_code == 200
    dispute = invented(paid, amount=49_900)
    tell(people.client, "created", dispute)
    work(in_process, store)
    where = {"subject": reference}
    answer = {"ms": 1, "code": 200, "excerpt": f"Thanks, {person['name']}"}
    told = store.deliveries.update_many(where, {"$set": {"log": [answer]}})
    assert told.modified_count >= 3
    file = Path(api_env["FILES_DIR"]) / receipt
    assert file.exists()
    assert places_of(store, person["name"]) == {"customers", "deliveries"}
    assert places_of(store, words) == {"payments", "events"}
    books = row_of(store.payments, referenceId=reference)
    names = [books["receipt"], payment["orderId"], paid]
    eventually(lambda: store.gateway_calls.count_documents({"subjects": paid}))
    calls = [row["_id"] for row in store.gateway_calls.find({"subjects": {"$in": names}})]

    erased = shop.call("DELETE", f"{CUSTOMERS}/{customer_id}")

    assert erased.status_code == 200, erased.text
    assert [each["what"] for each in erased.json()["remains"]] != []
    # A merge that had read the customer just before the erasure.
    at = now()
    part = {"shopId": ObjectId(shop.id), "reference": person["email"], "createdAt": at}
    merged = {"mergedInto": ObjectId(customer_id), "mergedAt": at, "followUpAt": at, "followUps": 0}
    store.customers.insert_one({**part, **merged, "updatedAt": at})
    # What else was copied, the worker finds. Events of later changes bring it back to no collection.
    work(in_process, store)
    for secret in person.values():
        assert places_of(store, secret) == set()
    assert places_of(store, words) == {"payments"}
    assert not file.exists()
    assert store.gateway_calls.count_documents({"_id": {"$in": calls}}) == 0
    assert row_of(store.payments, referenceId=reference) == books
    # The dispute goes on, and so do the money and the events.
    tell(people.client, "lost", {**dispute, "status": "lost", "amount_deducted": 49_900})
    shown = admin.call("GET", f"{DISPUTES}/{dispute['id']}").json()
    assert (shown["status"], shown["referenceId"]) == ("lost", reference)
    receive(people.client, payment["orderId"], person, id=paid)
    work(in_process, store)
    assert places_of(store, person["email"]) == set()
    events = store.events.find(where).sort("seq")
    types = [event["type"] for event in events]
    assert types[0] == "payment.created"
    assert types[-1] == "dispute.lost"
    pending = store.deliveries.count_documents({**where, "endpoint": endpoint["_id"]})
    assert pending == len(types)
    for event in store.events.find(where):
        data = json.loads(event["bodies"]["1"])["data"]
        assert data["customerId"] == customer_id
    # Its twin went with it.
    assert shop.call("GET", f"{CUSTOMERS}/{twin}").json()["erasedAt"] is not None
    again = shop.call("GET", f"{PAYMENTS}/{reference}/receipt")
    assert (again.status_code, again.content[:5]) == (200, b"%PDF-")
    assert_problem(shop.create(customerId=twin), 409, code="customer_erased")


def test_an_erased_account_is_nowhere_and_comes_back_for_nobody(
    in_process: InProcess,
    people: People,
    admin: Actor,
    sandbox: Sandbox,
    store: Store,
    api_env: dict[str, str],
) -> None:
    person, words = new_person(), unique("words-")
    admin.new_endpoint()
    user = people.new(name=person["name"], email=person["email"], verified=True)
    payment = user.new_payment(description=words, metadata={"for": words})
    user.call("POST", "/v1/api/verification/mobile/request")
    paid = sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    receive(people.client, payment["orderId"], person, id=paid)
    stored = user.call("POST", f"{PAYMENTS}/{payment['referenceId']}/receipt")
    file = Path(api_env["FILES_DIR"]) / stored.json()["name"]
    work(in_process, store)
    books = row_of(store.payments, referenceId=payment["referenceId"])
    assert places_of(store, person["name"]) == {"users"}
    assert file.exists()
    path = f"{ADMIN_USERS}/{user.id}"

    assert_problem(admin.call("POST", f"{path}/erase"), 409, code="still_active")
    assert admin.call("POST", f"{path}/deactivate").status_code == 200
    erased = admin.call("POST", f"{path}/erase")

    assert erased.status_code == 200, erased.text
    assert erased.json()["remains"] != []
    assert json_of(admin.call("POST", f"{path}/erase")) == json_of(erased)
    for secret in (person["name"], person["email"], person["name"].lower()):
        assert places_of(store, secret) == set()
    assert places_of(store, words) == {"payments"}
    assert not file.exists()
    assert row_of(store.payments, referenceId=payment["referenceId"]) == books
    row = row_of(store.users, _id=ObjectId(user.id))
    assert row.keys() & {"mobileNumber", "countryCode", "refreshToken"} == set()
    (entry, *_) = admin.call("GET", AUDIT, params={"target": f"user:{user.id}"}).json()["entries"]
    assert (entry["action"], entry["actor"]) == ("user.erase", admin.id)
    # Nobody wakes it up, and nobody signs in to it under any address.
    assert_problem(admin.call("POST", f"{path}/activate"), 409, code="account_erased")
    role = {"role": "PROVIDER"}
    assert_problem(admin.call("PUT", f"{path}/role", json=role), 409, code="account_erased")
    assert user.profile().status_code == 401
    for email in (person["email"], row["email"]):
        body = {"email": email, "password": PASSWORD}
        assert people.client.post(f"{USERS}/login", json=body).status_code == 401
    # Whoever signs up with the address is somebody else.
    body = sign_up_body(email=person["email"])
    assert people.client.post(f"{USERS}/signup", json=body).status_code == 201
    seen = admin.call("GET", f"{PAYMENTS}/{payment['referenceId']}")
    assert (seen.status_code, seen.json()["userId"]) == (200, user.id)


def test_the_endpoints_of_an_erased_account_go_with_it(
    in_process: InProcess, people: People, admin: Actor, store: Store
) -> None:
    """An administrator could switch them on again, and they say whose they are."""
    person, user = new_person(), people.new()
    personal = {"description": person["name"], "headers": {"X-Whose": person["email"]}}
    off, on = (user.new_endpoint(**personal) for _ in range(2))
    other = people.new().new_endpoint(description="Another shop's")
    every = admin.new_endpoint()
    for endpoint in (off, on, other, every):
        admin.new_delivery(endpoint)
    assert user.call("POST", f"{ENDPOINTS}/{off['_id']}/disable").status_code == 200
    assert places_of(store, person["name"]) == {"endpoints"}

    for step in ("deactivate", "erase"):
        assert admin.call("POST", f"{ADMIN_USERS}/{user.id}/{step}").status_code == 200

    for endpoint in (off, on):
        path = f"{ENDPOINTS}/{endpoint['_id']}"
        for method, more in (("GET", ""), ("POST", "/enable"), ("POST", "/test")):
            assert_problem(admin.call(method, f"{path}{more}"), 404)
    for secret in (person["name"], person["email"]):
        assert places_of(store, secret) == set()

    async def clean_up() -> None:
        async with in_process() as client:
            while await client.services.endpoint_maintenance.sweep():
                pass

    asyncio.run(clean_up())
    gone = [off["_id"], on["_id"]]
    assert store.deliveries.count_documents({"endpoint": {"$in": gone}}) == 0
    assert store.endpoints.count_documents({"_id": {"$in": [*map(ObjectId, gone)]}}) == 0
    for endpoint in (other, every):
        kept = json_of(admin.call("GET", f"{ENDPOINTS}/{endpoint['_id']}"))["endpoint"]
        assert kept["state"] == "on"
        assert store.deliveries.count_documents({"endpoint": endpoint["_id"]}) == 1


def test_events_that_are_made_long_after_an_erasure_are_without_the_texts_as_well(
    in_process: InProcess, people: People, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    words = unique("words-")
    told = {"description": words, "metadata": {"for": words}, "notes": {"for": words}}
    scopes = ("payments:read", "payments:write", "customers:write")
    shop = new_holder(admin, people.new(), "USER", *scopes)
    admin.new_endpoint()
    user = people.new()
    own, _ = user.buy(sandbox, **told)
    paid = [own]
    for name in ("Asha", "A. Rao", "Ravi"):
        paid.append(shop.buy(sandbox, customer={"name": name}, **told)[0])
    customer, twin, other = (each["customerId"] for each in paid[1:])
    to_cancel = [user.new_payment(**told)]
    to_cancel += [shop.new_payment(customerId=each, **told) for each in (customer, twin, other)]
    for step in ("deactivate", "erase"):
        assert admin.call("POST", f"{ADMIN_USERS}/{user.id}/{step}").status_code == 200
    assert shop.call("DELETE", f"{CUSTOMERS}/{customer}").status_code == 200
    work(in_process, store)
    # The worker has looked for the last time. Payments of the twin, which was merged, are not moved yet.
    store.customers.update_many({}, {"$unset": {"followUpAt": True}})
    merged = {"$set": {"mergedInto": ObjectId(customer)}}
    store.customers.update_one({"_id": ObjectId(twin)}, merged)
    store.events.delete_many({})

    for payment in paid:
        assert request_refund(admin, payment, 100, reason=words).status_code == 201
    for payment in to_cancel:
        cancelled = admin.call("POST", f"{PAYMENTS}/{payment['referenceId']}/cancel")
        assert cancelled.status_code == 200, cancelled.text
    work(in_process, store)

    for payments, last in ((paid, "refund.processed"), (to_cancel, "payment.cancelled")):
        for payment in payments:
            event = [*store.events.find({"subject": payment["referenceId"]}).sort("seq")][-1]
            assert event["type"] == last
            data = json.loads(event["bodies"]["1"])["data"]
            assert data["referenceId"] == payment["referenceId"]
            # Nobody else's texts are missing.
            assert (words in str(data)) == (payment is payments[-1])


def test_what_is_personal_of_an_event_goes_whatever_its_form() -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    for untouched in (b"no json", b"\xff", b'{"email":null,"amount":118.0}', b"[[1]]", deep):
        assert remove_personal(untouched) == untouched
    told = {
        "event": "payment.captured",
        "payload": {
            "payment": {
                "entity": {
                    "amount": 2**70,
                    "fee": 118.5,
                    "email": "asha@example.com",
                    "contact": 919876543210,
                    "card": {"name": "Asha", "last4": "1111"},
                    "bank_account": [{"account_number": "1", "ifsc": "HDFC0000001"}],
                    "customer_details": {"billing_address": {"line1": "14 Lake Road"}},
                    "vpa": "asha@upi",
                    "token": {"customer_name": "Asha"},
                }
            }
        },
    }
    entity = json.loads(remove_personal(json.dumps(told).encode()))["payload"]["payment"]["entity"]
    assert entity == {
        "amount": 2**70,
        "fee": 118.5,
        "email": None,
        "contact": None,
        "card": {"name": None, "last4": "1111"},
        "bank_account": [{"account_number": None, "ifsc": "HDFC0000001"}],
        "customer_details": None,
        "vpa": None,
        "token": {"customer_name": None},
    }


def test_what_a_business_wrote_is_in_no_stored_event_and_what_kernapay_reads_is() -> None:
    own = f"{ObjectId()}|2|1769854530250_u1Zq8oYc3nXwT5vRk2LmPA|k||...n|CONSULTATION"
    entity = {
        "id": "pay_1",
        "receipt": "KP_1",
        "description": "For Asha Rao",
        "notes": {"for": "Asha Rao", NOTE: own},
        "error_description": "The bank declined it.",
        "items": [{"Description": "Asha's lessons", "amount": 1, "customer_comment": "Asha"}],
    }
    dispute = {"reason_description": "Fraud", "evidence": {"summary": "Asha was there"}}
    told = {"event": "order.paid", "payload": {"order": entity, "dispute": dispute}}
    stored = json.loads(remove_personal(json.dumps(told).encode()))
    assert (stored["event"], stored["payload"]["dispute"]) == (
        "order.paid",
        {"reason_description": "Fraud", "evidence": {"summary": None}},
    )
    assert stored["payload"]["order"] == {
        "id": "pay_1",
        "receipt": "KP_1",
        "description": None,
        "notes": {NOTE: own},
        "error_description": "The bank declined it.",
        "items": [{"Description": None, "amount": 1, "customer_comment": None}],
    }
    # Whoever pays may change the note in Checkout. Razorpay: no notes are an empty list.
    for notes in ({NOTE: "asha@example.com"}, {NOTE: f"{own} Asha Rao"}, {NOTE: 1}, "Asha"):
        assert json.loads(remove_personal(json.dumps({"notes": notes}).encode())) == {"notes": None}
    ours: tuple[Any, ...] = ([], {NOTE: own}, {NOTE: str(ObjectId())})
    for untouched in ours:
        body = json.dumps({"notes": untouched}).encode()
        assert remove_personal(body) == body


def test_of_an_event_only_the_texts_of_its_business_go() -> None:
    for body in (b"", b"[]", b'{"type":1}', b'{"type":"payment.created","data":null}'):
        assert clear_texts(body) == body
    lost = b'{"type":"dispute.lost","data":{"reasonDescription":"fraud"}}'
    assert clear_texts(lost) == lost
    declined = {"type": "payment.failed", "data": {"reason": "card_expired", "notes": {"a": "b"}}}
    cleared = json.loads(clear_texts(json.dumps(declined).encode()))["data"]
    assert (cleared["reason"], cleared["notes"]) == ("card_expired", {})
