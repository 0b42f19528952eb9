"""API keys with scopes: made with the least that a back end needs, and never able to do more."""

import re
from typing import Any

import pytest
from bson import ObjectId
from redis import Redis

from kernapay.apikeys.tokens import digest_of
from tests.actors import API_KEYS, AUDIT, PAYMENTS, USERS, Actor, People, assert_problem
from tests.administration.machines import Machine, listed, make
from tests.aliases import Store
from tests.factories import payment_body
from tests.in_process import InProcess
from tests.stack import Sandbox, bearer

pytestmark = pytest.mark.owasp(line="API5")

# All that versions without scopes know of the form of a key.
_FORM_BEFORE = re.compile(r"(kp_(?:live|test)_[0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)


def test_a_shops_key_creates_and_reads_its_own_payments(
    admin: Actor, user: Actor, people: People
) -> None:
    scopes = ["payments:read", "payments:write"]
    shop = Machine(admin.client, make(admin, userId=user.id, scopes=scopes))
    made = shop.call("POST", f"{PAYMENTS}/create", json=payment_body())
    assert made.status_code == 201, made.text
    reference = made.json()["data"]["referenceId"]
    assert shop.call("GET", f"{PAYMENTS}/{reference}").json()["referenceId"] == reference
    history = shop.call("GET", f"{PAYMENTS}/history/{user.id}")
    assert [payment["referenceId"] for payment in history.json()] == [reference]
    assert shop.call("POST", f"{PAYMENTS}/{reference}/cancel").status_code == 200
    stranger = people.new()
    foreign = stranger.new_payment()["referenceId"]
    assert_problem(shop.call("GET", f"{PAYMENTS}/{foreign}"), 404)
    assert_problem(shop.call("POST", f"{PAYMENTS}/{foreign}/cancel"), 404)
    assert_problem(shop.call("GET", f"{PAYMENTS}/history/{stranger.id}"), 403)


def test_the_refusal_names_the_scope_and_nothing_was_done(admin: Actor, user: Actor) -> None:
    reader = Machine(admin.client, make(admin, userId=user.id, scopes=["payments:read"]))
    for _ in range(2):  # the second time from the cache
        refused = reader.call("POST", f"{PAYMENTS}/create", json=payment_body())
        problem = assert_problem(refused, 403, code="scope_missing")
        assert "payments:write" in problem["detail"]
    assert user.history().json() == []


def test_no_other_method_gets_around_a_scope(admin: Actor, user: Actor) -> None:
    writer = Machine(admin.client, make(admin, userId=user.id, scopes=["payments:write"]))
    path = f"{PAYMENTS}/history/{user.id}"
    assert [writer.call(method, path).status_code for method in ("GET", "HEAD")] == [403, 403]


def test_a_scope_gives_no_role(admin: Actor, user: Actor, sandbox: Sandbox) -> None:
    payment, _ = user.buy(sandbox)
    scopes = ["payments:write", "refunds:write", "reports:read"]
    key = Machine(admin.client, make(admin, userId=user.id, scopes=scopes))
    path = f"{PAYMENTS}/{payment['referenceId']}"
    for method, where in (
        ("POST", f"{path}/capture"),
        ("GET", f"{PAYMENTS}/export?from=2026-01-01&to=2026-01-02"),
        ("GET", "/v1/api/settlements"),
    ):
        assert_problem(key.call(method, where), 403, code="forbidden")


def test_scopes_are_shown_in_the_list_and_in_the_audit_log(admin: Actor) -> None:
    """Each once, the least harmful first."""
    given = ["refunds:write", "payments:read", "refunds:write", "reports:read"]
    ordered = ["payments:read", "reports:read", "refunds:write"]
    made = make(admin, role="ADMIN", scopes=given)
    machine = Machine(admin.client, made)
    assert made.json()["details"]["scopes"] == ordered
    assert listed(admin, machine.id)["scopes"] == ordered
    target = f"api_key:{machine.id}"
    (entry,) = admin.call("GET", AUDIT, params={"target": target}).json()["entries"]
    assert (entry["action"], entry["after"]["scopes"]) == ("api_key.create", ordered)


@pytest.mark.parametrize(
    ("scopes", "field"),
    [
        ([], "scopes"),
        (None, "scopes"),
        ("payments:read", "scopes"),
        (["payments:*"], "scopes"),
        (["PAYMENTS:READ"], "scopes"),
        (["payments:read "], "scopes"),
        (["payments:read", {"$ne": None}], "scopes"),
        (["payments:read"] * 21, "scopes"),
    ],
)
def test_bad_scopes_are_refused_by_field(admin: Actor, scopes: Any, field: str) -> None:
    """Null too: it may be a mistake for a list, and would make a key without limits."""
    problem = assert_problem(make(admin, scopes=scopes), 400)
    assert problem["errors"][0]["field"].startswith(field)


@pytest.mark.parametrize("how", ["made today without scopes", "made before scopes existed"])
def test_a_key_without_scopes_may_do_all_that_its_role_may(
    admin: Actor, user: Actor, store: Store, how: str
) -> None:
    machine = Machine(admin.client, make(admin, userId=user.id))
    where = {"_id": ObjectId(machine.id)}
    if how == "made before scopes existed":
        store.api_keys.update_one(where, {"$unset": {"scopes": ""}})
    row = store.api_keys.find_one(where) or {}
    assert "scopes" not in row
    assert _FORM_BEFORE.fullmatch(machine.key)
    assert listed(admin, machine.id)["scopes"] is None
    assert machine.call("GET", f"{USERS}/profile").status_code == 200
    assert machine.call("POST", f"{PAYMENTS}/create", json=payment_body()).status_code == 201
    assert machine.call("GET", f"{PAYMENTS}/history/{user.id}").status_code == 200


def test_versions_without_scopes_refuse_a_key_that_has_some(admin: Actor) -> None:
    """They run beside this one during an update, and would let it do all that its role may."""
    machine = Machine(admin.client, make(admin, role="ADMIN", scopes=["payments:read"]))
    assert not _FORM_BEFORE.fullmatch(machine.key)
    assert re.fullmatch(r"kp_scoped_test_[0-9A-Za-z]{49}", machine.key)
    assert listed(admin, machine.id)["hint"] == f"kp_scoped_test_…{machine.key[-4:]}"


def test_a_key_cannot_pass_for_one_without_scopes(admin: Actor) -> None:
    machine = Machine(admin.client, make(admin, role="ADMIN", scopes=["payments:read"]))
    for disguise in (
        machine.key.replace("scoped_", ""),
        machine.key.replace("kp_scoped_", "kp_SCOPED_"),
        machine.key.replace("scoped_test", "scoped_live"),
    ):
        answer = machine.client.get(f"{USERS}/profile", headers=bearer(disguise))
        assert_problem(answer, 401)
        assert digest_of(disguise) is None


def test_a_row_with_odd_scopes_allows_only_what_this_version_knows(
    admin: Actor, user: Actor, store: Store, redis_client: Redis
) -> None:
    """A later version may know more of them. None of them stands in the way of the end of the key."""
    machine = Machine(admin.client, make(admin, userId=user.id, scopes=["payments:read"]))
    where = {"_id": ObjectId(machine.id)}
    history, create = f"{PAYMENTS}/history/{user.id}", f"{PAYMENTS}/create"
    for scopes, may_read in ((["payments:read", "moon:write"], True), ([], False)):
        store.api_keys.update_one(where, {"$set": {"scopes": scopes}})
        redis_client.delete(f"api_key:{(digest_of(machine.key) or '')[:32]}")
        assert machine.call("GET", history).status_code == (200 if may_read else 403)
        assert machine.call("POST", create, json=payment_body()).status_code == 403
        assert listed(admin, machine.id)["scopes"] == scopes
    assert admin.call("DELETE", f"{API_KEYS}/{machine.id}").status_code == 200
    assert machine.call("GET", history).status_code == 401


@pytest.mark.anyio
@pytest.mark.owasp(line="API4")
async def test_each_key_is_limited_by_itself(
    in_process: InProcess, admin: Actor, user: Actor
) -> None:
    keys = [Machine(admin.client, make(admin, userId=user.id)).key for _ in range(2)]
    async with in_process(rate_limits="on", rate_limit_create="2/hour") as client:

        async def create(token: str) -> int:
            answer = await client.post(
                f"{PAYMENTS}/create", json=payment_body(), headers=bearer(token)
            )
            return answer.status_code

        for token in (*keys, user.token):
            assert [await create(token) for _ in range(3)] == [201, 201, 429]
