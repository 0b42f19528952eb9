"""What needs a person, counted for administrators."""

from datetime import UTC, datetime, timedelta

from bson import ObjectId

from tests.actors import ADMIN, ADMIN_USERS, Actor, People, send_event
from tests.aliases import Json, Store
from tests.factories import unique
from tests.money.disputes import invented, tell
from tests.stack import Sandbox
from tests.threads import aside


def test_each_thing_that_waits_for_a_person_is_counted_until_it_is_done(
    admin: Actor, people: People, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    def read() -> Json:
        answer = admin.call("GET", f"{ADMIN}/attention")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    before = read()
    provider = people.new("PROVIDER")
    _, checkout = user.buy(sandbox)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=20)
    dispute = invented(
        checkout["razorpay_payment_id"], amount=100, respond_by=int(soon.timestamp())
    )
    tell(user.client, "created", dispute)
    event_id = unique("evt_")
    assert send_event(admin.client, unique("nothing."), event_id=event_id).status_code == 200
    parked = {"$set": {"status": "parked"}, "$unset": {"processedAt": ""}}
    aside(store.webhook_events.update_one)({"eventId": event_id}, parked)
    delivery = admin.new_delivery(admin.new_endpoint())
    aside(store.deliveries.update_one)({"_id": delivery}, {"$set": {"state": "failed"}})
    at = datetime.now(UTC)
    finding = {"reportId": ObjectId(), "kind": "status", "createdAt": at, "updatedAt": at}
    aside(store.reconciliation_findings.insert_one)(finding)
    after = read()
    for name in (
        *("findings", "parkedEvents", "failedDeliveries", "openDisputes", "providersToApprove"),
    ):
        assert after[name] == before[name] + 1, name
    assert after["nextDeadline"] == soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert admin.call("POST", f"{ADMIN_USERS}/{provider.id}/approve").status_code == 200
    assert read()["providersToApprove"] == before["providersToApprove"]
