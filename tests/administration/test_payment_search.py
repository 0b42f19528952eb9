"""One call finds a payment by whatever an administrator holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.note_hashes import hash_note
from tests.actors import ADMIN, PAYMENTS, Actor, assert_problem, send_event
from tests.aliases import Json, Store
from tests.databases import receipt_of, row_of
from tests.factories import unique
from tests.stack import Sandbox

SEARCH = f"{ADMIN}/payments/search"


def search(admin: Actor, text: str) -> list[Json]:
    answer = admin.call("GET", SEARCH, params={"q": text})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["payments"]
    return found


def test_a_payment_is_found_by_each_of_its_names(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, checkout = user.buy(sandbox)
    user.new_payment()
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    refund = admin.call("POST", path, json={"amount": 100, "idempotencyKey": "k"})
    assert refund.status_code == 201, refund.text
    row = row_of(store.payments, referenceId=payment["referenceId"])

    for text in (
        payment["referenceId"],
        payment["orderId"],
        checkout["razorpay_payment_id"],
        row["refunds"][0]["refundId"],
        receipt_of(row),
        str(row["_id"]),
        f"  {payment['orderId']} ",
    ):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"], text
    assert found["fee"] == row["fee"] > 0
    assert found["tax"] == row["tax"]
    (shown,) = found["refunds"]
    assert (shown["actor"], shown["source"]) == (admin.id, "admin")
    assert shown["receipt"].startswith("KPR_")
    assert found["history"][0]["actor"] == user.id
    assert [p["referenceId"] for p in search(admin, user.email.upper())][1:] == [
        payment["referenceId"]
    ]


def test_surplus_orders_and_second_payments_lead_to_their_payment(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox)
    number = user.id[-14:]
    mismatch = {
        "at": row_of(store.payments, referenceId=payment["referenceId"])["createdAt"],
        "source": "webhook",
        "reason": "second_payment",
        "paymentId": f"pay_{number}",
        "orderId": payment["orderId"],
        "amount": 50000,
        "currency": "INR",
    }
    store.payments.update_one(
        {"referenceId": payment["referenceId"]},
        {"$set": {"surplusOrders": [f"order_{number}"], "mismatches": [mismatch]}},
    )

    for text in (f"order_{number}", f"pay_{number}"):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"]
        assert found["surplusOrders"] == [f"order_{number}"]
        assert found["mismatches"][0]["reason"] == "second_payment"


def test_what_the_bank_and_its_customer_did_leads_to_the_payment(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox)
    row = row_of(store.payments, referenceId=payment["referenceId"])
    number = user.id[-14:]
    second = {
        "paymentId": f"pay_{number}",
        "amount": 50000,
        "reason": "second_payment",
        "at": row["createdAt"],
        "status": "processed",
    }
    dispute = {
        "disputeId": f"disp_{number}",
        "paymentId": row["razorpayPaymentId"],
        "amount": 50000,
        "currency": "INR",
        "phase": "chargeback",
        "status": "won",
        "source": "webhook",
        "createdAt": row["createdAt"],
        "updatedAt": row["createdAt"],
    }
    settled = {
        "settlementId": f"setl_{number}",
        "entityId": row["razorpayPaymentId"],
        "type": "payment",
        "utr": f"AXIS{number}",
        "credit": 48820,
        "debit": 0,
        "fee": 1180,
        "tax": 180,
    }
    change = {"surplusPayments": [second], "disputes": [dispute], "settlements": [settled]}
    store.payments.update_one({"_id": row["_id"]}, {"$set": change})

    for text in (f"pay_{number}", f"disp_{number}", f"setl_{number}", f"AXIS{number}"):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"], text
        assert found["surplusPayments"][0]["paymentId"] == f"pay_{number}"


def test_each_step_and_each_mismatch_says_where_it_came_from_and_payers_see_none_of_it(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, checkout = user.buy(sandbox)
    other = sandbox.payment(checkout["razorpay_payment_id"])
    other |= {"id": f"pay_{user.id[-14:]}", "currency": "USD"}
    event_id = unique("evt_")
    send_event(user.client, "payment.captured", payment=other, event_id=event_id)
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    assert admin.call("POST", path, json={"idempotencyKey": "k"}).status_code == 201

    (found,) = search(admin, payment["referenceId"])

    (mismatch,) = found["mismatches"]
    told = {name: mismatch[name] for name in ("reason", "source", "event", "eventId", "actor")}
    assert told == {
        "reason": "currency",
        "source": "webhook",
        "event": "payment.captured",
        "eventId": event_id,
        "actor": None,
    }
    assert (mismatch["paymentId"], mismatch["orderId"]) == (other["id"], payment["orderId"])
    assert found["history"][0]["actor"] == user.id
    assert found["history"][-1]["actor"] == admin.id
    assert all(step["source"] and step["event"] for step in found["history"])
    assert {step["razorpayPaymentId"] for step in found["history"][1:]} == {
        checkout["razorpay_payment_id"]
    }
    # One that was stored before events were is shown without it; one of a dispute names that.
    row = row_of(store.payments, referenceId=payment["referenceId"])
    old = {name: value for name, value in row["mismatches"][0].items() if name != "event"}
    change = {"mismatches": [{**old, "disputeId": "disp_x"}]}
    store.payments.update_one({"_id": row["_id"]}, {"$set": change})
    (found,) = search(admin, payment["referenceId"])
    (shown,) = found["mismatches"]
    assert (shown["disputeId"], shown["event"]) == ("disp_x", None)
    # All of that is the business's matter.
    seen = user.seen(payment["referenceId"])
    names = {*seen, *seen["refunds"][0], *(name for step in seen["history"] for name in step)}
    assert names & {"mismatches", "surplusOrders", "fee", "tax", "actor", "receipt"} == set()
    assert admin.id not in str(seen)


@pytest.mark.parametrize(
    "text",
    [
        *("order_Unknown0000001", "rfnd_x", "disp_x", "setl_x", "nobody@example.com"),
        *("0" * 24, "AXIS0123456789", "who", "cart=42", "$where"),
    ],
)
def test_what_nobody_has_finds_nothing(text: str, admin: Actor) -> None:
    assert search(admin, text) == []


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "a" * 400])
def test_a_text_that_nothing_can_have_is_refused(text: str, admin: Actor) -> None:
    assert_problem(admin.call("GET", SEARCH, params={"q": text}), 400, field="q")


def test_a_payment_is_found_by_each_value_of_its_notes_as_it_was_given(
    user: Actor, admin: Actor
) -> None:
    number = f"Bestellung № {user.id[-8:]}/7"
    notes = {
        "order_no": f" {number} ",
        "empty": "",
        "cart": f"{user.id}@cart",
        "long": f"{user.id} " * 10,
    }
    payment = user.new_payment(notes=notes)
    user.new_payment(notes={"order_no": f"{number}1"})

    for text in (number, f"  {number}", f"{user.id}@cart", notes["long"]):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"], text
        assert found["notes"] == notes
    for text in (number.lower(), number[:-1], f"order_no={number}", "order_no"):
        assert search(admin, text) == [], text


def test_a_note_that_is_another_kind_of_id_is_looked_for_last(
    user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    bought, checkout = user.buy(sandbox)
    foreign = f"order_{user.id[-14:]}"
    notes = {"same": bought["orderId"], "paid": checkout["razorpay_payment_id"]}
    noted = user.new_payment(notes={**notes, "foreign": foreign, "payer": user.email})

    for text in notes.values():
        (found,) = search(admin, text)
        assert found["referenceId"] == bought["referenceId"], text
    assert len(search(admin, user.email)) == 2
    (found,) = search(admin, foreign)
    assert found["referenceId"] == noted["referenceId"]


def test_of_many_payments_with_the_same_note_the_newest_twenty_are_found(
    user: Actor, admin: Actor, store: Store
) -> None:
    note = f"campaign {user.id}"
    row = row_of(store.payments, referenceId=user.new_payment(notes={"c": note})["referenceId"])
    unique = ("_id", "referenceId", "orderId", "razorpayOrderId", "idempotencyKey", "receipt")
    common = {name: value for name, value in row.items() if name not in unique}
    ages = [*range(1, 40, 2), *range(2, 41, 2)]
    store.payments.insert_many(
        {
            **common,
            "_id": ObjectId(),
            "referenceId": f"{row['referenceId']}{age}",
            "createdAt": row["createdAt"] - timedelta(days=age),
        }
        for age in ages
    )

    found = [payment["referenceId"] for payment in search(admin, note)]

    assert found == [f"{row['referenceId']}{age or ''}" for age in range(20)]
    find = store.payments.find({"noteHashes": hash_note(note)}).sort("createdAt", -1).limit(20)
    plan = find.explain()["executionStats"]
    assert (plan["totalDocsExamined"], plan["totalKeysExamined"]) == (20, 20)


@pytest.mark.owasp(line="API5")
def test_only_administrators_search(user: Actor) -> None:
    assert_problem(user.call("GET", SEARCH, params={"q": "order_Unknown0000001"}), 403)


def test_mismatches_are_listed_until_their_money_has_its_place(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, checkout = user.buy(sandbox)
    other = sandbox.payment(checkout["razorpay_payment_id"])
    other |= {"id": f"pay_{user.id[-14:]}", "currency": "USD"}
    send_event(user.client, "payment.captured", payment=other, event_id=unique("evt_"))

    def listed(**query: Any) -> list[Json]:
        answer = admin.call("GET", f"{ADMIN}/mismatches", params={"count": 100, **query})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        times = [datetime.fromisoformat(each["at"]) for each in found]
        assert times == sorted(times, reverse=True)
        return [each for each in found if each["referenceId"] == payment["referenceId"]]

    (mismatch,) = listed()
    names = ("reason", "isOpen", "paymentStatus", "paymentId", "amount", "currency")
    assert [mismatch[name] for name in names] == [
        *("currency", True, "success", other["id"], other["amount"], "USD"),
    ]
    # The newest is the first.
    assert listed(count=1) == [mismatch]
    assert listed(skip=1) == []
    gone = {
        "paymentId": other["id"],
        "amount": 1,
        "reason": "second_payment",
        "status": "processed",
    }
    change = {"$push": {"surplusPayments": {**gone, "at": datetime.now(UTC)}}}
    store.payments.update_one({"referenceId": payment["referenceId"]}, change)
    assert listed() == []
    assert listed(open=False) == [{**mismatch, "isOpen": False}]
