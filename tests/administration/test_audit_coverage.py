"""Every privileged route and command leaves an audit entry. The list of them is made from the application itself."""

import json
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import click
import httpx
import pytest
from bson import ObjectId
from litestar import Litestar

from kernapay.commands.main import cli
from kernapay.security.guards import HasRole
from kernapay.security.principal import Role
from tests.actors import (
    ADMIN_USERS,
    API_KEYS,
    EVENTS,
    EXPORTS,
    PAYMENTS,
    REPORTS,
    Actor,
    People,
    send_event,
)
from tests.aliases import Json, Store
from tests.checkout import ROOT
from tests.databases import open_migrated_store
from tests.factories import PASSWORD, sign_up_body, unique
from tests.house.routes import Route, routes
from tests.stack import Api, Sandbox, SandboxServer, bare_environment
from tests.waiting import eventually

pytestmark = [pytest.mark.owasp(line="API5"), pytest.mark.long]
DAY = timedelta(days=1)


@dataclass
class Scene:
    """What an administrator can act on."""

    admin: Actor
    other_admin: Actor
    user: Actor
    store: Store
    sandbox: Sandbox

    def paid(self) -> str:
        return str(self.user.buy(self.sandbox)[0]["referenceId"])

    def unpaid(self) -> str:
        return str(self.user.new_payment()["referenceId"])

    def inactive_user(self) -> str:
        active = {"$set": {"status": "INACTIVE"}}
        self.store.users.update_one({"_id": ObjectId(self.user.id)}, active)
        return self.user.id

    def provider(self, *, approved: bool) -> str:
        standing = {"type": "PROVIDER", "isApprovedProvider": approved}
        self.store.users.update_one({"_id": ObjectId(self.user.id)}, {"$set": standing})
        return self.user.id

    def key(self, maker: Actor) -> str:
        made = maker.call("POST", API_KEYS, json={"name": "Till", "role": "USER"})
        return str(made.json()["details"]["_id"])

    def event(self) -> str:
        event_id = unique("evt_")
        send_event(self.admin.client, f"nothing.of.{event_id}", event_id=event_id)
        return event_id

    def finding(self) -> str:
        at = datetime.now(UTC)
        report = {"_id": ObjectId(), "from": at, "to": at, "state": "done", "totals": {}}
        of_payment = {"reportId": report["_id"], "kind": "status", "referenceId": self.paid()}
        times = {"createdAt": at, "updatedAt": at}
        self.store.reconciliation_reports.insert_one({**report, **times})
        found = self.store.reconciliation_findings.insert_one({**of_payment, **times})
        return f"{report['_id']}/findings/{found.inserted_id}"

    def export(self) -> str:
        at = datetime.now(UTC)
        export = {
            **{"from": at, "to": at, "format": "csv", "unit": "minor", "state": "done"},
            **{"requestedBy": "x", "fileName": f"export-{'0' * 32}.csv", "expiresAt": at + DAY},
        }
        times = {"createdAt": at, "updatedAt": at}
        return str(self.store.exports.insert_one({**export, **times}).inserted_id)


class Call(NamedTuple):
    path: str
    body: Json | None = None


class Entry(NamedTuple):
    """The action that a route's entry names, and a call of the route."""

    action: str
    call: Callable[[Scene], Call]


PERIOD = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
AUDITED = {
    "POST /v1/api/payments/{reference_id}/refunds": Entry(
        "payment.refund",
        lambda s: Call(
            f"{PAYMENTS}/{s.paid()}/refunds", {"amount": 100, "idempotencyKey": unique()}
        ),
    ),
    "POST /v1/api/payments/{reference_id}/capture": Entry(
        "payment.capture", lambda s: Call(f"{PAYMENTS}/{s.unpaid()}/capture")
    ),
    "POST /v1/api/payments/{reference_id}/check": Entry(
        "payment.check", lambda s: Call(f"{PAYMENTS}/{s.paid()}/check")
    ),
    "GET /v1/api/payments/export": Entry(
        "payments.export", lambda s: Call(f"{PAYMENTS}/export?from=2020-01-01&to=2020-01-02")
    ),
    "POST /v1/api/payments/exports": Entry(
        "payments.export_file", lambda s: Call(f"{PAYMENTS}/exports", PERIOD)
    ),
    "GET /v1/api/statements/{provider_id}/{month}/file": Entry(
        "statement.export",
        lambda s: Call(f"/v1/api/statements/{s.user.id}/2026-04/file?format=csv"),
    ),
    "POST /v1/api/exports": Entry("export.request", lambda s: Call(EXPORTS, PERIOD)),
    "POST /v1/api/exports/{export_id}/link": Entry(
        "export.link", lambda s: Call(f"{EXPORTS}/{s.export()}/link")
    ),
    "POST /v1/api/admin/users": Entry(
        "user.create", lambda s: Call(ADMIN_USERS, sign_up_body(type="PROVIDER"))
    ),
    "POST /v1/api/admin/users/{user_id}/activate": Entry(
        "user.change", lambda s: Call(f"{ADMIN_USERS}/{s.inactive_user()}/activate")
    ),
    "POST /v1/api/admin/users/{user_id}/deactivate": Entry(
        "user.change", lambda s: Call(f"{ADMIN_USERS}/{s.user.id}/deactivate")
    ),
    "PUT /v1/api/admin/users/{user_id}/role": Entry(
        "user.change", lambda s: Call(f"{ADMIN_USERS}/{s.user.id}/role", {"role": "PROVIDER"})
    ),
    "POST /v1/api/admin/users/{user_id}/erase": Entry(
        "user.erase", lambda s: Call(f"{ADMIN_USERS}/{s.inactive_user()}/erase")
    ),
    "POST /v1/api/admin/users/{user_id}/approve": Entry(
        "user.approve", lambda s: Call(f"{ADMIN_USERS}/{s.provider(approved=False)}/approve")
    ),
    "POST /v1/api/admin/users/{user_id}/revoke-approval": Entry(
        "user.revoke_approval",
        lambda s: Call(f"{ADMIN_USERS}/{s.provider(approved=True)}/revoke-approval"),
    ),
    "POST /v1/api/admin/api-keys": Entry(
        "api_key.create", lambda s: Call(API_KEYS, {"name": "Till", "role": "USER"})
    ),
    "POST /v1/api/admin/api-keys/{key_id}/adopt": Entry(
        "api_key.adopt", lambda s: Call(f"{API_KEYS}/{s.key(s.other_admin)}/adopt")
    ),
    "DELETE /v1/api/admin/api-keys/{key_id}": Entry(
        "api_key.revoke", lambda s: Call(f"{API_KEYS}/{s.key(s.admin)}")
    ),
    "POST /v1/api/webhooks/events/{event_id}/replay": Entry(
        "webhook.replay", lambda s: Call(f"{EVENTS}/{s.event()}/replay")
    ),
    "POST /v1/api/webhooks/events/replay": Entry(
        "webhook.replay_all", lambda s: Call(f"{EVENTS}/replay", {})
    ),
    "POST /v1/api/reconciliation/reports": Entry(
        "reconciliation.report", lambda s: Call(REPORTS, PERIOD)
    ),
    "POST /v1/api/reconciliation/reports/{report_id}/findings/{finding_id}/repair": Entry(
        "reconciliation.repair", lambda s: Call(f"{REPORTS}/{s.finding()}/repair")
    ),
}

# Pages of what an administrator looks at. An export takes everything along, so it stands above.
LOOKING = {
    "GET /v1/api/payments/{reference_id}/story",
    "GET /v1/api/payments/{reference_id}/gateway-calls",
    "GET /v1/api/statements/{provider_id}/{month}",
    "GET /v1/api/payments/received",
    "GET /v1/api/admin/users",
    "GET /v1/api/admin/users/{user_id}",
    "GET /v1/api/admin/api-keys",
    "GET /v1/api/admin/audit",
    "GET /v1/api/admin/health",
    "GET /v1/api/admin/attention",
    "GET /v1/api/insights",
    "GET /v1/api/webhooks/events",
    "GET /v1/api/webhooks/events/{event_id}",
    "GET /v1/api/exports",
    "GET /v1/api/exports/{export_id}",
    "GET /v1/api/reconciliation/reports",
    "GET /v1/api/reconciliation/reports/{report_id}",
    "GET /v1/api/admin/payments/search",
    "GET /v1/api/admin/mismatches",
    "GET /v1/api/disputes",
    "GET /v1/api/disputes/{dispute_id}",
    "GET /v1/api/settlements",
    "GET /v1/api/settlements/ledger",
    "GET /v1/api/settlements/unsettled",
    "GET /v1/api/settlements/{settlement_id}",
}


def is_privileged(route: Route) -> bool:
    """Return whether a customer may not use the route."""
    guards = route.handler.resolve_guards()
    return any(isinstance(guard, HasRole) and Role.USER not in guard.roles for guard in guards)


def test_every_privileged_route_is_here(application: Litestar) -> None:
    privileged = {found.name for found in routes(application) if is_privileged(found)}
    assert privileged == {*AUDITED, *LOOKING}
    assert {name for name in LOOKING if not name.startswith("GET ")} == set()


@pytest.mark.parametrize("route", AUDITED)
def test_a_privileged_route_leaves_an_entry(
    route: str, people: People, store: Store, sandbox: Sandbox, api_server: Api
) -> None:
    admin = people.new("ADMIN")
    scene = Scene(admin, people.new("ADMIN"), people.new("USER"), store, sandbox)
    method = route.partition(" ")[0]
    action, prepare = AUDITED[route]
    call = prepare(scene)
    request_id = unique("client-")
    answer = admin.call(method, call.path, json=call.body, headers={"X-Request-ID": request_id})
    assert answer.status_code < 300 or answer.json()["code"] == "not_capturable", answer.text
    entry, *_ = rows = list(store.audit_log.find({"clientRequestId": request_id}).sort("_id"))
    assert {row["action"] for row in rows} == {action}
    assert (entry["actor"], entry["actorRole"], entry["door"]) == (admin.id, "ADMIN", "http")
    assert entry.get("failure") is None
    # The client's id may be anything, also that of another request. Ours is not the client's to choose.
    assert re.fullmatch("[0-9a-f]{16}", entry["requestId"])
    assert answer.headers["x-request-id"] == request_id
    ids = {"request_id": request_id, "own_request_id": entry["requestId"]}
    eventually(partial(api_server.log_entries, "request", **ids))


class Leaf(NamedTuple):
    arguments: tuple[str, ...]
    actions: tuple[str, ...]


REPORT = "66b1f0c2a7d4e5f601234567"
"""A report with one finding that can be repaired."""
COMMANDS = {
    "seed": Leaf((), ("user.create", "user.create", "user.approve", "user.create", "user.create")),
    "verify-email": Leaf(("--email", "user@example.com"), ("user.change",)),
    "remove-second-factor": Leaf(("--email", "locked@example.com"), ("second_factor.disable",)),
    "create-admin": Leaf(("--email", "root@example.com"), ("user.create",)),
    # Of the database in EXPRESS_MONGODB_URL.
    "import express": Leaf((), ("express.import",)),
    "inbox replay": Leaf(("--status", "parked"), ("webhook.replay_all",)),
    "inbox end": Leaf(("evt_parked", "--reason", "not ours"), ("webhook.end",)),
    "repair": Leaf((REPORT,), ("reconciliation.repair",)),
    "reconcile": Leaf(("--from", "2020-01-01", "--to", "2020-01-02"), ("reconciliation.report",)),
}
UNAUDITED = {
    "audit": "looks only",
    "demo": "is a customer of a running API",
    "dev": "runs other commands",
    "doctor": "looks only",
    "inbox list": "looks only",
    "listen": "is a client of a running API",
    "migrate down": "the collection `migrations` is its record",
    "migrate status": "looks only",
    "migrate up": "the collection `migrations` is its record",
    "openapi": "knows no database",
    "sandbox": "is another program",
    "serve": "the API, where each caller is known",
    "trigger": "is a customer of a running API",
    "worker": "does what is due, for nobody",
}

# One process for all of them: to start one takes longer than what they do.
RUN_ALL = """
import json, sys
from kernapay.commands.main import cli
for arguments in json.loads(sys.argv[1]):
    try:
        cli(arguments, standalone_mode=False)
    except SystemExit as end:
        assert end.code in (0, 1), (arguments, end.code)
"""


def leaves(command: click.Command, *names: str) -> Iterator[str]:
    """Yield the commands that do something, as they are typed."""
    if not isinstance(command, click.Group):
        yield " ".join(names)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, *names, name)


def test_every_command_is_here() -> None:
    assert set(leaves(cli)) == {*COMMANDS, *UNAUDITED}


def test_every_audited_action_is_listed_in_the_guide() -> None:
    page = (ROOT / "kernapay/docs/administration.md").read_text("utf-8")
    of_commands = {action for leaf in COMMANDS.values() for action in leaf.actions}
    of_routes = {entry.action for entry in AUDITED.values()}
    assert of_commands | of_routes <= set(re.findall(r"`(\w+\.\w+)`", page))


def insert_finding(store: Store, at: datetime) -> None:
    """Insert a report about the fee of a payment that nobody paid."""
    times = {"createdAt": at, "updatedAt": at}
    reference = "PAY_66b1f0c2a7d4e5f601234567_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA"
    ids = {"referenceId": reference, "userId": ObjectId(), "serviceType": "CONSULTATION"}
    sale = {"amount": 50000, "currency": "INR", "status": "pending"}
    store.payments.insert_one({**ids, **sale, **times})
    window = {"from": at, "to": at, "state": "done", "totals": {}}
    store.reconciliation_reports.insert_one({"_id": ObjectId(REPORT), **window, **times})
    finding = {"reportId": ObjectId(REPORT), "kind": "fee", "referenceId": reference}
    store.reconciliation_findings.insert_one({**finding, **times})


def insert_second_factor(store: Store, at: datetime) -> None:
    times = {"createdAt": at, "updatedAt": at}
    person = {"name": "Asha Rao", "password": "", "type": "ADMIN", "status": "ACTIVE"}
    user = store.users.insert_one({"email": "locked@example.com", **person, **times})
    factor = {"sealed": b"", "lastStep": 0, "recoveryHashes": []}
    store.second_factors.insert_one({"_id": user.inserted_id, **factor, **times})


def test_every_privileged_command_leaves_an_entry_that_names_the_operator(
    empty_database_url: str, api_env: dict[str, str], sandbox_server: SandboxServer
) -> None:
    every = [[*name.split(), *leaf.arguments] for name, leaf in COMMANDS.items()]
    claimed = {"USER": "mallory", "LOGNAME": "mallory", "SUDO_USER": "mallory"}
    password = {"KERNAPAY_ADMIN_PASSWORD": PASSWORD}
    with open_migrated_store(empty_database_url) as store:
        at = datetime.now(UTC)
        parked = {"eventId": "evt_parked", "event": "payment.captured", "body": b"{}"}
        times = {"createdAt": at, "updatedAt": at, "nextAt": at}
        store.webhook_events.insert_one({**parked, **times, "bodyHash": "0", "status": "parked"})
        insert_finding(store, at)
        insert_second_factor(store, at)
        old = store.client[f"{store.name}_old"]
        old.users.insert_one({"email": "asha@example.com", "__v": 0})
        done = subprocess.run(
            [sys.executable, "-c", RUN_ALL, json.dumps(every)],
            env={
                **bare_environment(),
                **api_env,
                **claimed,
                **password,
                "MONGODB_URL": empty_database_url,
                "EXPRESS_MONGODB_URL": empty_database_url.replace(store.name, old.name),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        store.client.drop_database(old.name)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = list(store.audit_log.find().sort("_id"))
    expected = [action for leaf in COMMANDS.values() for action in leaf.actions]
    assert [row["action"] for row in rows] == expected
    me = pwd.getpwuid(os.getuid()).pw_name
    assert {(row["actor"], row["door"], row["osUser"]) for row in rows} == {
        ("cli", "command_line", me)
    }


def test_the_log_shows_who_an_operator_is(admin: Actor, store: Store) -> None:
    at = datetime.now(UTC)
    facts = {"operation": "0" * 16, "actor": "cli", "door": "command_line", "osUser": "asha"}
    row = {**facts, "action": "user.change", "target": unique("user:")}
    store.audit_log.insert_one({**row, "createdAt": at, "updatedAt": at})
    answer: httpx.Response = admin.call(
        "GET", "/v1/api/admin/audit", params={"target": row["target"]}
    )
    (entry,) = answer.json()["entries"]
    assert (entry["actor"], entry["door"], entry["osUser"]) == ("cli", "command_line", "asha")
