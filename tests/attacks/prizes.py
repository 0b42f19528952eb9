"""What an attacker is after: somebody else's things, by the ids that name them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import httpx
from bson import ObjectId
from pymongo.database import Database

from kernapay.security.principal import Role
from tests.actors import PAYMENTS, USERS, Actor, People, send_event
from tests.factories import payment_body, unique
from tests.stack import Sandbox

Store = Database[dict[str, Any]]
ADMIN = "/v1/api/admin"
INBOX = "/v1/api/webhooks/events"
REPORTS = "/v1/api/reconciliation/reports"


@dataclass(frozen=True)
class Prize:
    """The ids of one person's things."""

    user_id: str
    session_id: str
    reference_id: str
    order_id: str
    payment_id: str
    idempotency_key: str
    event_id: str
    report_id: str
    finding_id: str
    key_id: str
    file_name: str

    def nothing(self) -> "Prize":
        """Ids that look the same, down to what can be read from them, and name nothing."""
        return Prize(**{each.name: _other(getattr(self, each.name)) for each in fields(self)})


def _other(name: str) -> str:
    """Turn the random end of a name round; the extension of a file stays."""
    stem, dot, extension = name.partition(".")
    half = stem[-8:]
    return (
        stem[:-8]
        + half[::-1].translate(str.maketrans("01234567ab", "12345670ba"))
        + dot
        + extension
    )


@dataclass(frozen=True)
class Pair:
    """Two people of one role; what belongs to the first is the prize of the second."""

    owner: Actor
    attacker: Actor
    prize: Prize


def set_up(role: Role, people: People, store: Store, sandbox: Sandbox, api: httpx.Client) -> Pair:
    owner, attacker = people.new(role), people.new(role)
    # Who cannot buy is paid, or only looks on.
    payer = owner if role in (Role.USER, Role.ADMIN) else people.new("USER")
    key = unique("key-")
    paid_to = {"providerId": owner.id} if role is Role.PROVIDER else {}
    payment, checkout = payer.buy(sandbox, **payment_body(idempotencyKey=key, **paid_to))
    owner.device()
    (device,) = [
        each["_id"] for each in owner.call("GET", f"{USERS}/sessions").json() if not each["current"]
    ]
    event_id = unique("evt_")
    send_event(api, f"nothing.of.{event_id}", event_id=event_id)
    receipt = payer.call("POST", f"{PAYMENTS}/{payment['referenceId']}/receipt").json()
    keeper = owner if role is Role.ADMIN else people.new("ADMIN")
    made = keeper.call("POST", f"{ADMIN}/api-keys", json={"name": "Till", "role": "USER"})
    at = datetime.now(UTC)
    report = {"_id": ObjectId(), "from": at, "to": at, "state": "done", "totals": {}}
    finding = {
        "_id": ObjectId(),
        "reportId": report["_id"],
        "kind": "missing_here",
        "orderId": payment["orderId"],
    }
    times = {"createdAt": at, "updatedAt": at}
    store.reconciliation_reports.insert_one({**report, **times})
    store.reconciliation_findings.insert_one({**finding, **times})
    prize = Prize(
        user_id=owner.id,
        session_id=device,
        reference_id=payment["referenceId"],
        order_id=payment["orderId"],
        payment_id=checkout["razorpay_payment_id"],
        idempotency_key=key,
        event_id=event_id,
        report_id=str(report["_id"]),
        finding_id=str(finding["_id"]),
        key_id=made.json()["details"]["_id"],
        file_name=httpx.URL(receipt["url"]).path.rpartition("/")[2],
    )
    return Pair(owner, attacker, prize)


def rows_of(prize: Prize, store: Store) -> Mapping[str, Any]:
    """Everything stored about the prize."""
    user = ObjectId(prize.user_id)
    return {
        "user": store.users.find_one(user),
        "sessions": list(store.sessions.find({"userId": user}).sort("_id")),
        "payment": store.payments.find_one({"referenceId": prize.reference_id}),
        "event": store.webhook_events.find_one({"eventId": prize.event_id}),
        "finding": store.reconciliation_findings.find_one(ObjectId(prize.finding_id)),
        "key": store.api_keys.find_one(ObjectId(prize.key_id)),
    }


def fingerprints(store: Store) -> dict[str, str]:
    """A digest of each collection that a request could change; outgoing messages go on in the background."""
    names = set(store.list_collection_names()) - {"messages", "cache_drops"}
    return store.command("dbHash", collections=sorted(names))["collections"]
