"""Two people of each role: the owner of some objects, and an attacker who may know their ids."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from bson import ObjectId

from kernapay.security.principal import Role
from tests.actors import ADMIN, PAYMENTS, USERS, Actor, People, request_refund, send_event
from tests.aliases import Store
from tests.factories import payment_body, unique
from tests.money.disputes import invented, tell
from tests.stack import Sandbox


@dataclass(frozen=True)
class OwnedObjects:
    """The ids of one person's objects."""

    user_id: str
    session_id: str
    reference_id: str
    order_id: str
    payment_id: str
    idempotency_key: str
    event_id: str
    report_id: str
    finding_id: str
    export_id: str
    settlement_id: str
    key_id: str
    file_name: str
    dispute_id: str
    customer_id: str
    endpoint_id: str
    delivery_id: str
    outgoing_event_id: str
    refund_id: str
    token: str
    """Of the link to the payment."""

    @property
    def ids(self) -> dict[str, str]:
        """Return them by the names that the paths have for them."""
        others = {"provider_id": self.user_id, "month": "2026-04", "name": self.file_name}
        return {**vars(self), **others}

    def nothing(self) -> "OwnedObjects":
        """Return ids that look the same, down to what can be read from them, and name nothing."""
        return OwnedObjects(
            **{each.name: _other(getattr(self, each.name)) for each in fields(self)}
        )


def _other(name: str) -> str:
    """Reverse the random end of a name; the extension of a file stays."""
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
    """Two people of one role; the objects belong to the first."""

    owner: Actor
    attacker: Actor
    owned: OwnedObjects


def set_up(role: Role, people: People, store: Store, sandbox: Sandbox) -> Pair:
    approved = role is Role.PROVIDER
    owner, attacker = people.new(role, approved=approved), people.new(role, approved=approved)
    # Who cannot buy is paid, or only looks on.
    payer = owner if role in (Role.USER, Role.ADMIN) else people.new("USER")
    key = unique("key-")
    paid_to = {"providerId": owner.id} if role is Role.PROVIDER else {}
    payment, checkout = payer.buy(
        sandbox, **payment_body(idempotencyKey=key, checkout=True, **paid_to)
    )
    owner.device()
    (device,) = [
        each["_id"] for each in owner.call("GET", f"{USERS}/sessions").json() if not each["current"]
    ]
    event_id = unique("evt_")
    send_event(people.client, f"nothing.of.{event_id}", event_id=event_id)
    dispute = invented(checkout["razorpay_payment_id"], amount=100)
    tell(people.client, "created", dispute)
    receipt = payer.call("POST", f"{PAYMENTS}/{payment['referenceId']}/receipt").json()
    keeper = owner if role is Role.ADMIN else people.new("ADMIN")
    refund = request_refund(keeper, payment, 100)
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
    endpoint = payer.new_endpoint()
    delivery_id = payer.new_delivery(endpoint)
    settlement_id = f"setl_{ObjectId()}"
    settlement = {"settlementId": settlement_id, "status": "processed", "settledAt": at}
    store.settlements.insert_one({**settlement, "amount": 1, **times})
    export = {
        **{
            "_id": ObjectId(),
            "from": at,
            "to": at,
            "format": "csv",
            "unit": "minor",
            "state": "done",
        },
        **{
            "requestedBy": owner.id,
            "fileName": f"export-{'0' * 32}.csv",
            "expiresAt": at + timedelta(days=1),
        },
    }
    store.exports.insert_one({**export, **times})
    owned = OwnedObjects(
        user_id=owner.id,
        session_id=device,
        reference_id=payment["referenceId"],
        order_id=payment["orderId"],
        payment_id=checkout["razorpay_payment_id"],
        idempotency_key=key,
        event_id=event_id,
        report_id=str(report["_id"]),
        finding_id=str(finding["_id"]),
        export_id=str(export["_id"]),
        settlement_id=settlement_id,
        key_id=made.json()["details"]["_id"],
        file_name=httpx.URL(receipt["url"]).path.rpartition("/")[2],
        dispute_id=dispute["id"],
        # Of a shop beside them: the payer's list of payments has one line.
        customer_id=people.new("USER").new_customer(keeper),
        endpoint_id=endpoint["_id"],
        delivery_id=delivery_id,
        outgoing_event_id=delivery_id.partition(":")[0],
        refund_id=refund.json()["data"]["refundId"],
        token=payment["checkoutUrl"].rpartition("/")[2],
    )
    return Pair(owner, attacker, owned)


def rows_of(owned: OwnedObjects, store: Store) -> Mapping[str, Any]:
    """Return everything that is stored of these objects."""
    user = ObjectId(owned.user_id)
    return {
        "user": store.users.find_one(user),
        "sessions": list(store.sessions.find({"userId": user}).sort("_id")),
        "payment": store.payments.find_one({"referenceId": owned.reference_id}),
        "event": store.webhook_events.find_one({"eventId": owned.event_id}),
        "finding": store.reconciliation_findings.find_one(ObjectId(owned.finding_id)),
        "customer": store.customers.find_one(ObjectId(owned.customer_id)),
        "endpoint": store.endpoints.find_one(ObjectId(owned.endpoint_id)),
        "delivery": store.deliveries.find_one({"_id": owned.delivery_id}),
        "key": store.api_keys.find_one(ObjectId(owned.key_id)),
    }


def fingerprints(store: Store) -> dict[str, str]:
    """Return a digest of each collection that a request could change.

    Outgoing messages, pending evictions and calls to the gateway are written in the background.
    """
    names = set(store.list_collection_names()) - {"messages", "cache_drops", "gateway_calls"}
    return dict(store.command("dbHash", collections=sorted(names))["collections"])
