"""Who is paid is judged when the payment is created, and a provider moves money only once approved."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from bson import ObjectId

from tests.actors import (
    ADMIN_USERS,
    API_KEYS,
    AUDIT,
    PAYMENTS,
    Actor,
    People,
    assert_problem,
    log_in,
)
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.factories import payment_body, unique
from tests.stack import Sandbox, bearer

pytestmark = pytest.mark.owasp(line="API6")


def received(provider: Actor) -> list[str]:
    answer = provider.call("GET", f"{PAYMENTS}/received")
    assert answer.status_code == 200, answer.text
    return [row["referenceId"] for row in answer.json()]


def refund(actor: Actor, payment: Json, key: str | None = None) -> httpx.Response:
    body = {"amount": 100, "idempotencyKey": key or unique("refund-")}
    return actor.call("POST", f"{PAYMENTS}/{payment['referenceId']}/refunds", json=body)


def administer(admin: Actor, account: Actor, action: str) -> httpx.Response:
    return admin.call("POST", f"{ADMIN_USERS}/{account.id}/{action}")


def give_role(admin: Actor, account: Actor, role: str) -> None:
    answer = admin.call("PUT", f"{ADMIN_USERS}/{account.id}/role", json={"role": role})
    assert answer.status_code == 200, answer.text


def assert_nothing_of(payment: Json, provider: Actor) -> None:
    """Assert that the payment gives this approved provider nothing."""
    reference = payment["referenceId"]
    assert reference not in received(provider)
    assert_problem(provider.show(reference), 404)
    assert_problem(provider.call("GET", f"{PAYMENTS}/{reference}/receipt"), 404)
    assert_problem(provider.call("POST", f"{PAYMENTS}/{reference}/receipt"), 404)
    assert_problem(refund(provider, payment), 404)


@pytest.mark.parametrize("spelling", [str, str.upper], ids=["as it is", "in capitals"])
def test_an_account_that_is_no_other_active_provider_is_refused(
    people: People, user: Actor, admin: Actor, store: Store, spelling: Callable[[str], str]
) -> None:
    gone = people.new("PROVIDER", approved=True)
    assert administer(admin, gone, "deactivate").status_code == 200
    demoted = people.new("PROVIDER", approved=True)
    give_role(admin, demoted, "USER")
    for account in (user, people.new(), people.new("LAB_ASSISTANT"), admin, gone, demoted):
        answer = user.create(providerId=spelling(account.id))
        assert_problem(answer, 400, "providerId")
    assert_problem(admin.create(providerId=admin.id), 400, "providerId")
    assert store.payments.count_documents({"userId": ObjectId(user.id)}) == 0


@pytest.mark.parametrize("spelling", [str, str.upper], ids=["as it is", "in capitals"])
def test_the_row_stores_that_the_provider_was_judged(
    people: People, user: Actor, sandbox: Sandbox, store: Store, spelling: Callable[[str], str]
) -> None:
    provider = people.new("PROVIDER", approved=True)
    payment, _ = user.buy(sandbox, providerId=spelling(provider.id))
    row = row_of(store.payments, referenceId=payment["referenceId"])
    assert (row["providerId"], row["payeeId"]) == (provider.id, ObjectId(provider.id))
    seen = provider.seen(payment["referenceId"])
    assert (seen["providerId"], seen["payeeId"]) == (provider.id, provider.id)
    assert received(provider) == [payment["referenceId"]]
    assert refund(provider, payment).status_code == 201


@pytest.mark.parametrize("label", ["clinic-7", "user:", "0x"], ids=str)
def test_other_text_is_a_label_and_names_nobody(
    people: People, user: Actor, sandbox: Sandbox, store: Store, label: str
) -> None:
    provider = people.new("PROVIDER", approved=True)
    text = label if label == "clinic-7" else f"{label}{provider.id}"
    payment, _ = user.buy(sandbox, providerId=text)
    assert user.seen(payment["referenceId"])["payeeId"] is None
    assert user.seen(payment["referenceId"])["providerId"] == text
    assert "payeeId" not in row_of(store.payments, referenceId=payment["referenceId"])
    assert_nothing_of(payment, provider)


def test_whoever_gets_the_id_later_gets_nothing(
    people: People, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    later = ObjectId()
    payment, _ = user.buy(sandbox, providerId=str(later))
    template = people.new("PROVIDER", approved=True)
    row = row_of(store.users, _id=ObjectId(template.id))
    email = f"later.{later}@example.com"
    store.users.insert_one({**row, "_id": later, "email": email})
    provider = Actor(
        people.client, {"_id": str(later), "email": email}, template.password, ""
    ).device()
    assert_nothing_of(payment, provider)


def test_a_payment_of_an_earlier_version_gives_the_named_provider_nothing(
    people: People, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox)
    provider = people.new("PROVIDER", approved=True)
    store.payments.update_one(
        {"referenceId": payment["referenceId"]}, {"$set": {"providerId": provider.id}}
    )
    assert_nothing_of(payment, provider)


@pytest.mark.parametrize("change", ["deactivate", "USER", "delete"])
def test_a_repeat_gets_the_first_answer_whatever_became_of_the_provider(
    people: People, user: Actor, admin: Actor, store: Store, change: str
) -> None:
    provider = people.new("PROVIDER")
    body = payment_body(providerId=provider.id)
    first = user.create(body)
    assert first.status_code == 201, first.text
    if change == "deactivate":
        assert administer(admin, provider, change).status_code == 200
    elif change == "USER":
        give_role(admin, provider, change)
    else:
        store.users.delete_one({"_id": ObjectId(provider.id)})
    again = user.create(body)
    assert (again.status_code, again.json()) == (200, first.json())
    if change != "delete":
        assert_problem(user.create(payment_body(providerId=provider.id)), 400, "providerId")
        assert_problem(user.create({**body, "amount": 100}), 400, "providerId")
    reference = first.json()["data"]["referenceId"]
    assert user.seen(reference)["payeeId"] == provider.id


def test_an_unapproved_provider_may_look_and_move_nothing(
    people: People, user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    provider = people.new("PROVIDER")
    assert provider.profile().json()["isApprovedProvider"] is False
    payment, _ = user.buy(sandbox, providerId=provider.id)
    assert received(provider) == [payment["referenceId"]]
    assert provider.show(payment["referenceId"]).status_code == 200

    unknown = {"referenceId": payment["referenceId"][:-4] + "AAAA"}
    for refused in (refund(provider, payment), refund(provider, unknown)):
        assert_problem(refused, 403, code="not_approved")
    assert store.audit_log.count_documents({"actor": provider.id}) == 0

    answer = administer(admin, provider, "approve")
    assert answer.status_code == 200, answer.text
    assert answer.json()["isApprovedProvider"] is True
    assert provider.profile().json()["isApprovedProvider"] is True
    assert refund(provider, payment, "one").status_code == 201

    assert administer(admin, provider, "revoke-approval").status_code == 200
    assert provider.profile().json()["isApprovedProvider"] is False
    # The repeat of an accepted refund is refused as well; the refund itself stands.
    for key in ("one", "two"):
        assert_problem(refund(provider, payment, key), 403, code="not_approved")
    assert received(provider) == [payment["referenceId"]]


def test_approvals_are_audited_once(people: People, admin: Actor) -> None:
    provider = people.new("PROVIDER")
    for action in ("approve", "approve", "revoke-approval", "revoke-approval"):
        assert administer(admin, provider, action).status_code == 200
    found = admin.call("GET", AUDIT, params={"target": f"user:{provider.id}"}).json()["entries"]
    assert [(e["action"], e["actor"], e["before"], e["after"]) for e in found] == [
        (
            "user.revoke_approval",
            admin.id,
            {"isApprovedProvider": True},
            {"isApprovedProvider": False},
        ),
        ("user.approve", admin.id, {"isApprovedProvider": False}, {"isApprovedProvider": True}),
    ]


@pytest.mark.owasp(line="API5")
def test_only_providers_are_approved_and_no_key_approves(people: People, admin: Actor) -> None:
    provider = people.new("PROVIDER")
    for account in (people.new(), people.new("LAB_ASSISTANT"), admin):
        assert_problem(administer(admin, account, "approve"), 409, code="not_a_provider")
        assert administer(admin, account, "revoke-approval").status_code == 200
    key = admin.call("POST", API_KEYS, json={"name": "Mighty", "role": "ADMIN"}).json()["key"]
    for action in ("approve", "revoke-approval"):
        path = f"{ADMIN_USERS}/{provider.id}/{action}"
        answer = admin.client.post(path, headers=bearer(key))
        assert_problem(answer, 403, code="forbidden")
    assert provider.profile().json()["isApprovedProvider"] is False


def test_an_approval_ends_with_the_role(
    people: People, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    provider = people.new("PROVIDER")
    payment, _ = user.buy(sandbox, providerId=provider.id)
    assert administer(admin, provider, "approve").status_code == 200
    give_role(admin, provider, "USER")
    assert_problem(refund(provider, payment), 403, code="forbidden")
    give_role(admin, provider, "PROVIDER")
    # The rise ended its session.
    provider = log_in(provider.client, provider.email, provider.password)
    assert provider.profile().json()["isApprovedProvider"] is False
    assert_problem(refund(provider, payment), 403, code="not_approved")


def test_a_key_moves_money_while_its_provider_is_approved(
    people: People, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    provider = people.new("PROVIDER")
    payment, _ = user.buy(sandbox, providerId=provider.id)

    def by_key(**body: Any) -> httpx.Response:
        made = admin.call("POST", API_KEYS, json={"name": "Till", "role": "PROVIDER", **body})
        assert made.status_code == 201, made.text
        machine = Actor(admin.client, {"_id": "", "email": ""}, "", made.json()["key"])
        return refund(machine, payment)

    assert_problem(by_key(userId=provider.id), 403, code="not_approved")
    # A key in the role PROVIDER for an administrator's own account.
    assert_problem(by_key(), 403, code="not_approved")
    assert administer(admin, provider, "approve").status_code == 200
    assert by_key(userId=provider.id).status_code == 201
    assert_problem(by_key(), 403, code="not_approved")
    assert administer(admin, provider, "revoke-approval").status_code == 200
    assert_problem(by_key(userId=provider.id), 403, code="not_approved")


def test_administrators_find_who_waits_for_approval(
    people: People, admin: Actor, store: Store
) -> None:
    name = unique("Bela ")
    people.new("USER", name=name)
    waiting, old, approved = (people.new("PROVIDER", name=name) for _ in range(3))
    # As an earlier version writes it, which may still run during the upgrade.
    store.users.update_one({"_id": ObjectId(old.id)}, {"$unset": {"isApprovedProvider": ""}})
    assert administer(admin, approved, "approve").status_code == 200

    def found(**query: str) -> list[str]:
        answer = admin.call("GET", ADMIN_USERS, params={"search": name, **query})
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["users"])
        return [user["_id"] for user in answer.json()["users"]]

    assert found(approved="false") == [old.id, waiting.id]
    assert found(approved="true", type="PROVIDER") == [approved.id]
    everybody = admin.call("GET", ADMIN_USERS, params={"approved": "false", "count": 2}).json()
    assert [user["_id"] for user in everybody["users"]] == [old.id, waiting.id]
    assert found(approved="false", type="USER") == []
    answer = admin.call("GET", f"{ADMIN_USERS}?approved=perhaps")
    assert_problem(answer, 400, field="approved")
