"""Health for the console: the stores, and what waits in each queue."""

from kernapay import __version__
from tests.actors import ADMIN, Actor, send_event
from tests.aliases import Store
from tests.checkout import PACKAGE
from tests.factories import unique
from tests.threads import aside


def test_the_report_names_the_stores_and_counts_what_waits_in_each_queue(
    admin: Actor, store: Store
) -> None:
    def read() -> dict[str, int]:
        answer = admin.call("GET", f"{ADMIN}/health")
        assert answer.status_code == 200
        report = answer.json()
        stores = {name: report[name] for name in ("status", "mongodb", "redis", "version")}
        assert stores == {
            "status": "ready",
            "mongodb": "up",
            "redis": "up",
            "version": __version__,
        }
        return {each["name"]: each["parked"] for each in report["queues"]}

    before = read()
    assert {"inbox", "outbox", "unpaid_payments", "open_refunds"} <= before.keys()
    event_id = unique("evt_")
    assert send_event(admin.client, unique("nothing."), event_id=event_id).status_code == 200
    parked = {"$set": {"status": "parked"}, "$unset": {"processedAt": ""}}
    aside(store.webhook_events.update_one)({"eventId": event_id}, parked)
    assert read() == {**before, "inbox": before["inbox"] + 1}


def test_the_page_has_a_name_for_each_queue(admin: Actor) -> None:
    script = (PACKAGE / "console" / "static" / "health.js").read_text()
    queues = admin.call("GET", f"{ADMIN}/health").json()["queues"]
    assert [each["name"] for each in queues if f'{each["name"]}: "' not in script] == []
