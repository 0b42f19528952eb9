"""A payment's story: everything that is stored of it, in order, and of that what the caller may see."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.actors import PAYMENTS, Actor, People, request_refund, send_event
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.factories import failed_payment, gateway_payment, unique
from tests.money.disputes import FIRST, invented, tell
from tests.stack import Sandbox
from tests.waiting import eventually

pytestmark = pytest.mark.owasp(line="API3")


def story_of(actor: Actor, payment: Json) -> Json:
    answer = actor.call("GET", f"{PAYMENTS}/{payment['referenceId']}/story")
    assert answer.status_code == 200, answer.text
    story: Json = answer.json()
    return story


def titles(story: Json, kind: str) -> list[str]:
    return [entry["title"] for entry in story["entries"] if entry["kind"] == kind]


def insert_delivery(store: Store, payment_id: str, endpoint: Json, **changes: Any) -> str:
    """Insert a delivery of the payment's first step, as the relay and the dispatcher leave it."""
    at = datetime.now(UTC)
    event = f"evt_{payment_id}_0_5d41402a"
    row = {
        "_id": f"{event}:{endpoint['_id']}",
        "endpoint": endpoint["_id"],
        "event": event,
        "subject": "PAY_",
        "seq": 0,
        "type": "payment.succeeded",
        "state": "done",
        "nextAt": at,
        "attempts": 2,
        "log": [{"at": at, "code": 500, "ms": 9}, {"at": at, "code": 200, "ms": 38}],
        "doneAt": at,
        "createdAt": at,
        **changes,
    }
    store.deliveries.insert_one(row)
    return str(row["_id"])


def test_an_administrator_reads_who_did_what_and_what_came_and_went(
    admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment = user.new_payment()
    declined = unique("evt_")
    failed = failed_payment(payment["orderId"])
    send_event(user.client, "payment.failed", event_id=declined, payment=failed)
    checkout = sandbox.pay(payment["orderId"])
    paid = gateway_payment(payment["orderId"], id=checkout["razorpay_payment_id"])
    captured = unique("evt_")
    send_event(user.client, "payment.captured", event_id=captured, payment=paid)
    tell(user.client, "created", invented(checkout["razorpay_payment_id"], amount=10000))
    assert request_refund(admin, payment, 20000, reason="Late").status_code == 201
    row = row_of(store.payments, referenceId=payment["referenceId"])
    endpoint = admin.new_endpoint()
    delivery = insert_delivery(store, str(row["_id"]), endpoint)
    other = user.new_payment()
    insert_delivery(
        store, str(row_of(store.payments, referenceId=other["referenceId"])["_id"]), endpoint
    )
    story = story_of(admin, payment)
    times = [datetime.fromisoformat(entry["at"]) for entry in story["entries"]]
    assert times == sorted(times)
    assert titles(story, "status") == ["Payment created", "Attempt failed", "Paid"]
    assert titles(story, "refund")[0] == "Refund of INR 200.00 requested"
    assert titles(story, "refund")[-1] == "INR 200.00 refunded"
    assert titles(story, "dispute") == ["Dispute (chargeback): open"]
    assert {entry["evidenceId"] for entry in story["entries"] if entry["kind"] == "webhook"} >= {
        declined,
        captured,
    }
    (sent,) = (entry for entry in story["entries"] if entry["kind"] == "delivery")
    assert (sent["evidenceId"], sent["outcome"]) == (delivery, "done")
    assert sent["detail"] == f"{endpoint['url']}; 200 in 38 ms; 2 attempts"
    (act,) = (entry for entry in story["entries"] if entry["kind"] == "person")
    assert (act["title"], act["amount"]) == ("asked for a refund", 20000)
    assert act["actor"] == {"id": admin.id, "name": "Asha Rao", "role": "ADMIN", "keyId": None}
    created = story["entries"][0]
    assert (created["actor"]["id"], created["source"]) == (user.id, "api")
    assert story["payer"] == {
        "_id": user.id,
        "name": "Asha Rao",
        "email": f"{user.email[0]}…@example.com",
    }
    assert story["actions"] == {
        "refund": True,
        "capture": False,
        "check": True,
        "receipt": True,
        "refundable": 20000,
    }
    assert story["isCut"] is False


def test_the_story_has_the_calls_to_the_gateway_each_with_what_was_sent_and_answered(
    admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox, description="For Asha Rao", notes={"for": "Asha Rao"})
    made = request_refund(admin, payment, 20000, reason="Late")
    assert made.status_code == 201
    order, refund = payment["orderId"], made.json()["data"]["refundId"]

    def calls() -> list[Json] | None:
        found = [each for each in story_of(admin, payment)["entries"] if each["kind"] == "gateway"]
        return found if any("refund" in each["title"] for each in found) else None

    entries = eventually(calls)
    titles = {entry["title"]: entry for entry in entries}
    asked = titles["Asked the gateway for an order"]
    assert (asked["outcome"], asked["isFailure"], asked["amount"]) == ("ok", False, 50000)
    assert asked["detail"].startswith("answered (200) in ")
    assert {"Looked at the payment at the gateway", "Asked the gateway for a refund"} <= {*titles}
    answer = admin.call("GET", f"{PAYMENTS}/{payment['referenceId']}/gateway-calls")
    assert answer.status_code == 200, answer.text
    kept = {each["_id"]: each for each in answer.json()}
    assert {entry["evidenceId"] for entry in entries} == {*kept}
    opened = kept[asked["evidenceId"]]
    assert (opened["call"], opened["path"]) == ("POST orders", "orders")
    assert (opened["sent"]["amount"], opened["answered"]["id"]) == (50000, order)
    assert opened["process"].startswith("api ")
    assert len(opened["requestId"]) == 16
    returned = kept[titles["Asked the gateway for a refund"]["evidenceId"]]
    assert (returned["sent"]["amount"], returned["answered"]["id"]) == (20000, refund)
    assert "Asha" not in answer.text
    assert "kernapay_payment" not in answer.text
    other = admin.call("GET", f"{PAYMENTS}/{user.new_payment()['referenceId']}/gateway-calls")
    assert {*kept} & {each["_id"] for each in other.json()} == set()


def test_a_provider_and_an_assistant_read_no_more_than_they_may(
    people: People, user: Actor, sandbox: Sandbox
) -> None:
    provider = people.new("PROVIDER", approved=True)
    payment, checkout = user.buy(sandbox, providerId=provider.id)
    tell(user.client, "created", invented(checkout["razorpay_payment_id"], amount=10000))
    assert request_refund(provider, payment, 100, reason="Late").status_code == 201
    for actor, may_refund in ((provider, True), (people.new("LAB_ASSISTANT"), False)):
        story = story_of(actor, payment)
        kinds = {entry["kind"] for entry in story["entries"]}
        assert kinds == {"status", "refund", "dispute"}
        assert [entry["actor"] for entry in story["entries"]] == [None] * len(story["entries"])
        seen = story["payment"]
        assert (seen["fee"], seen["tax"], seen["settlements"]) == (None, None, [])
        assert [step["actor"] for step in seen["history"]] == [None] * len(seen["history"])
        assert seen["refunds"][0]["actor"] is None
        assert (story["payer"] is None) is (actor is provider)
        assert story["actions"]["refund"] is may_refund
        assert story["actions"]["check"] is not may_refund
        assert user.email not in str(story)
    stranger = people.new("PROVIDER", approved=True)
    hidden = stranger.call("GET", f"{PAYMENTS}/{payment['referenceId']}/story")
    assert hidden.status_code == 404


def test_who_paid_does_not_read_what_the_bank_says_of_it(
    admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    payment, checkout = user.buy(sandbox)
    tell(user.client, "created", invented(checkout["razorpay_payment_id"], amount=10000))
    path = f"/v1/api/admin/users/{user.id}/role"
    assert admin.call("PUT", path, json={"role": "PROVIDER"}).status_code == 200
    story = story_of(user.device(), payment)
    assert {entry["kind"] for entry in story["entries"]} == {"status"}
    assert story["payment"]["disputes"] == []
    assert len(story["payment"]["history"]) == 2


def test_what_the_bank_has_taken_back_is_told_to_whoever_sees_disputes(
    people: People, user: Actor, sandbox: Sandbox
) -> None:
    provider = people.new("PROVIDER", approved=True)
    payment, checkout = user.buy(sandbox, providerId=provider.id)
    admin = people.new("ADMIN")
    assert story_of(admin, payment)["amountLost"] == 0
    dispute = invented(checkout["razorpay_payment_id"], amount=10000)
    tell(user.client, "created", dispute)
    # It may still be won.
    assert story_of(admin, payment)["amountLost"] == 0
    lost = {**dispute, "status": "lost", "amount_deducted": 10000}
    tell(user.client, "lost", lost, at=FIRST + 60)
    for actor in (admin, provider, people.new("LAB_ASSISTANT")):
        assert story_of(actor, payment)["amountLost"] == 10000
    role = f"/v1/api/admin/users/{user.id}/role"
    assert admin.call("PUT", role, json={"role": "PROVIDER"}).status_code == 200
    assert story_of(user.device(), payment)["amountLost"] is None


def test_asking_the_gateway_finds_the_payment_that_nobody_told_of(
    people: People, user: Actor, sandbox: Sandbox
) -> None:
    assistant = people.new("LAB_ASSISTANT")
    payment = user.new_payment()
    path = f"{PAYMENTS}/{payment['referenceId']}/check"
    nothing = assistant.call("POST", path).json()
    assert (nothing["status"], nothing["hasChanged"]) == ("pending", False)
    sandbox.pay(payment["orderId"])
    found = assistant.call("POST", path).json()
    assert (found["status"], found["hasChanged"]) == ("success", True)
    assert assistant.call("POST", path).json()["hasChanged"] is False
    paid = story_of(people.new("ADMIN"), payment)
    assert titles(paid, "status") == ["Payment created", "Paid"]
    assert titles(paid, "person") == ["asked the gateway about the payment"] * 3
    unknown = path.replace(payment["referenceId"], "PAY_" + "0" * 24 + "_1769854530250_nobody")
    assert assistant.call("POST", unknown).status_code == 404
