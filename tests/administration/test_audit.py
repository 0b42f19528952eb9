"""The audit log: every privileged action, before it happens, for good."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from kernapay.audit.models import AuditEntry
from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Unavailable
from kernapay.devstack.ports import HOST, free_port
from kernapay.payments.exports.dtos import ExportRequest
from kernapay.payments.exports.payments import PaymentTable
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.service import ExportService
from kernapay.payments.references import new_reference_id
from kernapay.security.principal import Operator, Principal, Role
from tests.actors import (
    ADMIN_USERS,
    API_KEYS,
    AUDIT,
    EVENTS,
    PAYMENTS,
    Actor,
    People,
    assert_problem,
)
from tests.aliases import Json, Store
from tests.checkout import SOURCES, module_of
from tests.command_line import RunKernapay
from tests.factories import PASSWORD, sign_up_body
from tests.in_process import InProcess
from tests.stack import Sandbox, bearer


def entries(admin: Actor, **query: Any) -> list[Json]:
    answer = admin.call("GET", AUDIT, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["entries"])


def test_an_action_is_logged_with_who_whom_what_was_and_what_is(admin: Actor, user: Actor) -> None:
    answer = admin.call("PUT", f"{ADMIN_USERS}/{user.id}/role", json={"role": "PROVIDER"})
    (entry,) = entries(admin, target=f"user:{user.id}")
    assert entry["actor"] == admin.id
    assert entry["actorRole"] == "ADMIN"
    assert entry["action"] == "user.change"
    assert entry["before"] == {"type": "USER", "status": "ACTIVE"}
    assert entry["after"] == {"type": "PROVIDER", "status": "ACTIVE"}
    assert entry["requestId"] == answer.headers["x-request-id"]
    assert entry["failure"] is None
    assert entry["createdAt"].endswith("Z")


def test_every_privileged_action_leaves_an_entry(admin: Actor, user: Actor) -> None:
    created = admin.call("POST", API_KEYS, json={"name": "A", "role": "ADMIN"})
    key = created.json()["details"]["_id"]
    machine = bearer(created.json()["key"])
    admin.call("POST", f"{ADMIN_USERS}/{user.id}/deactivate")
    admin.call("POST", f"{ADMIN_USERS}/{user.id}/activate")
    export = "/v1/api/payments/export?from=2020-01-01&to=2020-01-02"
    admin.client.get(export, headers=machine)
    admin.call("DELETE", f"{API_KEYS}/{key}")
    admin.call("GET", export)
    found = entries(admin, actor=admin.id)
    assert [(entry["action"], entry["keyId"]) for entry in found] == [
        ("payments.export", None),
        ("api_key.revoke", None),
        ("payments.export", key),
        ("user.change", None),
        ("user.change", None),
        ("api_key.create", None),
    ]


def test_moving_money_back_is_logged_with_its_amount(
    admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}"
    body = {"amount": 100, "idempotencyKey": "refund-1"}
    assert admin.call("POST", f"{path}/refunds", json=body).status_code == 201
    assert admin.call("POST", f"{path}/refunds", json={"idempotencyKey": "2"}).status_code == 201
    found = entries(admin, target=f"payment:{payment['referenceId']}")
    assert [(entry["action"], entry["after"], entry["failure"]) for entry in found] == [
        ("payment.refund", {"amount": 49900}, None),
        ("payment.refund", {"amount": 100}, None),
    ]


def test_what_is_refused_cheaply_and_what_is_repeated_leave_no_entry(
    admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    paid, _ = user.buy(sandbox)
    unpaid = user.new_payment()
    body = {"amount": 100, "idempotencyKey": "made"}
    refunds = f"{PAYMENTS}/{paid['referenceId']}/refunds"
    assert admin.call("POST", refunds, json=body).status_code == 201
    assert admin.call("POST", refunds, json=body).status_code == 200
    too_much = {"amount": 49_901, "idempotencyKey": "more"}
    reused = {"amount": 200, "idempotencyKey": "made"}
    for path, refused in (
        (refunds, too_much),
        (refunds, reused),
        (f"{PAYMENTS}/{unpaid['referenceId']}/refunds", body),
        (f"{PAYMENTS}/{paid['referenceId']}/capture", None),
    ):
        assert_problem(admin.call("POST", path, json=refused), 409)
    assert_problem(admin.call("POST", f"{EVENTS}/evt_nobody_sent/replay"), 404)
    found = entries(admin, actor=admin.id)
    assert [(entry["action"], entry["failure"]) for entry in found] == [("payment.refund", None)]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["payments.export", "payments.export_file"])
async def test_an_export_that_breaks_off_says_so_in_a_second_entry(
    in_process: InProcess, kind: str
) -> None:
    class Broken(ExportRepository):
        async def batches(self, *_: Any, **__: Any) -> AsyncIterator[list[Any]]:
            raise Unavailable("The database is away.")
            yield []

    actor = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="s")
    request = ExportRequest("2020-01-01", "2020-01-02")
    async with in_process() as client:
        services = client.services
        files, pool, days = services.file_store, services.file_pool, services.business_days
        broken = PaymentTable(Broken(services.mongo), days)
        exports = ExportService({None: broken}, files, services.audit_log, pool, days)

        async def export() -> None:
            if kind == "payments.export_file":
                await exports.store(actor, request)
            else:
                async for _ in await exports.stream(actor, request):
                    pass

        with pytest.raises(Unavailable):
            await export()
        found, _ = await services.audit_log.search(count=10, actor=actor.id)
    assert [(entry.action, entry.failure) for entry in found] == [
        (kind, "unavailable"),
        (kind, None),
    ]


def test_an_action_that_fails_says_so_in_a_second_entry(admin: Actor, user: Actor) -> None:
    payment = user.new_payment()  # nobody has paid it, but only the gateway knows that
    assert_problem(admin.call("POST", f"{PAYMENTS}/{payment['referenceId']}/capture"), 409)
    second, first = entries(admin, actor=admin.id)
    assert first["operation"] == second["operation"]
    assert (first["failure"], second["failure"]) == (None, "not_capturable")


def test_an_account_that_cannot_be_opened_leaves_no_entry(admin: Actor, user: Actor) -> None:
    taken = sign_up_body(type="PROVIDER", email=user.email)
    assert_problem(admin.call("POST", ADMIN_USERS, json=taken), 409, code="email_taken")
    weak = sign_up_body(type="PROVIDER", password="password", confirmPassword="password")
    assert_problem(admin.call("POST", ADMIN_USERS, json=weak), 400, field="password")
    assert entries(admin, actor=admin.id) == []


@pytest.mark.anyio
async def test_an_action_that_breaks_says_so_too(in_process: InProcess, store: Store) -> None:
    async with in_process() as client:
        audit = client.services.audit_log
        target = f"user:{ObjectId()}"
        with pytest.raises(ZeroDivisionError):
            async with audit.action(Operator("asha"), "user.change", target):
                raise ZeroDivisionError
        found, _ = await audit.search(count=10, target=target)
    assert [entry.failure for entry in found] == ["internal_error", None]


def test_a_refund_of_an_invented_payment_leaves_no_entry(admin: Actor, people: People) -> None:
    provider = people.new("PROVIDER", approved=True)
    reference = new_reference_id(provider.id, datetime.now(UTC))
    invented = f"{PAYMENTS}/{reference}/refunds"
    body = {"amount": 100, "idempotencyKey": "invented"}
    assert_problem(provider.call("POST", invented, json=body), 404)
    assert entries(admin, actor=provider.id) == []


@pytest.mark.owasp(line="API3")
def test_the_log_holds_no_personal_data(admin: Actor, people: People, store: Store) -> None:
    person = people.new("PROVIDER")
    assert admin.call("POST", f"{ADMIN_USERS}/{person.id}/deactivate").status_code == 200
    rows = str(list(store.audit_log.find({"target": f"user:{person.id}"})))
    assert person.id in rows
    assert [word for word in (person.email, "Asha", "9876543210") if word in rows] == []


def test_filters_and_pages_cover_the_log_once(admin: Actor, user: Actor) -> None:
    for step in ("deactivate", "activate") * 2:
        assert admin.call("POST", f"{ADMIN_USERS}/{user.id}/{step}").status_code == 200
    mine = entries(admin, actor=admin.id, target=f"user:{user.id}", action="user.change")
    assert len(mine) == 4
    assert admin.call("GET", AUDIT, params={"actor": admin.id}).json()["total"] == 4
    pages = [entries(admin, actor=admin.id, count=1, skip=skip)[0] for skip in range(4)]
    assert pages == mine
    middle = mine[1]["createdAt"]
    assert entries(admin, actor=admin.id, after=middle) == mine[:2]
    assert entries(admin, actor=admin.id, before=middle) == mine[2:]
    assert entries(admin, actor=admin.id, action="nothing") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("actor=%24ne", "actor"),
        ("target=a%20b", "target"),
        ("count=0", "count"),
        ("after=x", "after"),
    ],
)
def test_bad_filters_are_named(admin: Actor, query: str, field: str) -> None:
    assert_problem(admin.call("GET", f"{AUDIT}?{query}"), 400, field=field)


@pytest.mark.parametrize("role", ["USER", "PROVIDER", "LAB_ASSISTANT"])
@pytest.mark.owasp(line="API5")
def test_only_administrators_read_it(people: People, role: str) -> None:
    assert people.new(role).call("GET", AUDIT).status_code == 403


@pytest.mark.owasp(line="API5")
def test_nobody_can_change_or_delete_an_entry(admin: Actor) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert admin.call(method, AUDIT, json={}).status_code == 405
    assert {name for name in vars(AuditLog) if not name.startswith("_")} == {"action", "search"}
    users = {module_of(path) for path in SOURCES if "AuditEntry" in path.read_text()}
    assert users == {"kernapay.audit.models", "kernapay.audit.repository"}
    assert AuditEntry._meta["collection"] == "audit_log"


def test_taking_an_account_over_on_the_command_line_is_logged(
    run_kernapay: RunKernapay, admin: Actor, user: Actor
) -> None:
    options = ("--email", user.email, "--promote")
    done = run_kernapay("create-admin", *options, KERNAPAY_ADMIN_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    promoted, password = entries(admin, actor="cli", target=f"user:{user.id}")
    assert (password["action"], password["failure"]) == ("user.password", None)
    assert promoted["before"] == {"type": "USER", "status": "ACTIVE", "isEmailVerified": False}
    assert promoted["after"] == {"type": "ADMIN", "status": "ACTIVE", "isEmailVerified": True}


@pytest.mark.anyio
async def test_nothing_privileged_happens_when_it_cannot_be_logged(
    in_process: InProcess,
) -> None:
    async with in_process(mongodb_url=f"mongodb://{HOST}:{free_port()}/away") as client:
        happened = False
        with pytest.raises(Unavailable):
            async with client.services.audit_log.action(Operator("asha"), "user.change"):
                happened = True
        assert not happened
