"""API keys: made by people, used by machines, ended at once."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from redis import Redis

from kernapay.apikeys.dtos import ApiKeyCreate
from kernapay.apikeys.models import ApiKey, EndReason
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.apikeys.service import ApiKeyService, KeyEnded
from kernapay.apikeys.tokens import digest_of, new_key
from kernapay.security.principal import Principal, Role
from kernapay.users.models import UserStatus
from tests.actors import ADMIN_USERS, API_KEYS, PAYMENTS, USERS, Actor, People, assert_problem
from tests.administration.machines import Machine, listed, make
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.factories import payment_body, sign_up_body
from tests.in_process import InProcess, InProcessClient
from tests.stack import Sandbox, StartApi, bearer

pytestmark = pytest.mark.owasp(line="API2")


@pytest.fixture
def machine(admin: Actor, user: Actor) -> Machine:
    """Acts as `user`."""
    return Machine(admin.client, make(admin, userId=user.id))


def test_a_key_acts_as_its_account(machine: Machine, user: Actor, sandbox: Sandbox) -> None:
    made = machine.call("POST", f"{PAYMENTS}/create", json=payment_body())
    assert made.status_code == 201, made.text
    assert [p["referenceId"] for p in user.history().json()] == [made.json()["data"]["referenceId"]]
    assert machine.call("GET", f"{USERS}/profile").json()["_id"] == user.id


def test_an_unverified_administrators_key_may_have_a_lower_role(
    admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    """Administrators of earlier versions are unverified. Only a sign-up as LAB_ASSISTANT has to be verified first."""
    payment, _ = user.buy(sandbox)
    key = Machine(admin.client, make(admin, role="LAB_ASSISTANT"))
    unverified = {"$set": {"isEmailVerified": False}}
    store.users.update_one({"_id": ObjectId(admin.id)}, unverified)
    assert key.call("GET", f"{PAYMENTS}/{payment['referenceId']}").status_code == 200


def test_a_key_has_a_form_that_leak_scanners_know(machine: Machine) -> None:
    assert re.fullmatch(r"kp_test_[0-9A-Za-z]{49}", machine.key)
    assert digest_of(machine.key) is not None
    assert digest_of(machine.key[:-1] + ("a" if machine.key[-1] != "a" else "b")) is None
    assert digest_of(new_key(live=True)) is not None


@pytest.mark.owasp(line="API3")
def test_a_key_is_shown_once_and_stored_nowhere(
    machine: Machine, admin: Actor, store: Store, redis_client: Redis
) -> None:
    assert machine.call("GET", f"{USERS}/profile").status_code == 200
    listed = admin.call("GET", API_KEYS, params={"count": 100})
    assert machine.id in [key["_id"] for key in listed.json()["keys"]]
    assert machine.key not in listed.text
    assert "digest" not in listed.text
    assert machine.key not in str(list(store.api_keys.find()) + list(store.audit_log.find()))
    cached = [str(name) for name in redis_client.scan_iter("api_key:*")]
    digest = digest_of(machine.key) or ""
    assert f"api_key:{digest[:32]}" in cached
    assert not [name for name in cached if machine.key in name or digest in name]


def test_a_revoked_key_is_refused_at_once_on_every_process(
    machine: Machine, admin: Actor, start_api: StartApi
) -> None:
    elsewhere = machine.at(start_api().client)
    profile = ("GET", f"{USERS}/profile")
    assert [m.call(*profile).status_code for m in (machine, elsewhere)] == [200, 200]
    revoked = admin.call("DELETE", f"{API_KEYS}/{machine.id}")
    assert revoked.json()["revokedAt"] is not None
    assert [m.call(*profile).status_code for m in (machine, elsewhere)] == [401, 401]
    again = admin.call("DELETE", f"{API_KEYS}/{machine.id}")
    assert again.json()["revokedAt"] == revoked.json()["revokedAt"]


def test_a_key_is_refused_once_its_revocation_was_repeated_though_the_first_broke_off(
    machine: Machine, admin: Actor, store: Store
) -> None:
    profile = ("GET", f"{USERS}/profile")
    assert machine.call(*profile).status_code == 200
    revoked = {"$set": {"revokedAt": datetime.now(UTC)}}
    store.api_keys.update_one({"_id": ObjectId(machine.id)}, revoked)
    assert admin.call("DELETE", f"{API_KEYS}/{machine.id}").status_code == 200
    assert machine.call(*profile).status_code == 401


def change_role(admin: Actor, whose: Actor, role: str) -> None:
    answer = admin.call("PUT", f"{ADMIN_USERS}/{whose.id}/role", json={"role": role})
    assert answer.status_code == 200, answer.text


def set_active(admin: Actor, whose: Actor, *, active: bool) -> None:
    verb = "activate" if active else "deactivate"
    answer = admin.call("POST", f"{ADMIN_USERS}/{whose.id}/{verb}")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("change", ["fall", "rise", "lock-out"])
def test_a_key_ends_for_good_with_the_standing_of_its_account(
    admin: Actor, people: People, api: httpx.Client, change: str
) -> None:
    provider = people.new("PROVIDER", verified=True)
    machine = Machine(api, make(admin, userId=provider.id, role="PROVIDER"))
    profile = ("GET", f"{USERS}/profile")
    assert machine.call(*profile).status_code == 200
    if change == "lock-out":
        set_active(admin, provider, active=False)
    else:
        change_role(admin, provider, "USER" if change == "fall" else "LAB_ASSISTANT")
    assert machine.call(*profile).status_code == 401
    assert listed(admin, machine.id)["revokedReason"] == "account_changed"
    if change == "lock-out":
        set_active(admin, provider, active=True)
    else:
        change_role(admin, provider, "PROVIDER")
    assert machine.call(*profile).status_code == 401


@pytest.mark.parametrize("change", ["fall", "lock-out"])
def test_a_key_ends_for_good_when_its_maker_stops_being_an_administrator(
    admin: Actor, people: People, user: Actor, change: str
) -> None:
    maker = people.new("ADMIN")
    made = [Machine(maker.client, make(maker, userId=user.id)) for _ in range(2)]
    own = Machine(maker.client, make(maker, role="USER"))
    left, adopted = made
    answer = admin.call("POST", f"{API_KEYS}/{adopted.id}/adopt")
    assert (answer.status_code, answer.json()["adoptedBy"]) == (200, admin.id)

    def statuses() -> list[int]:
        return [m.call("GET", f"{USERS}/profile").status_code for m in (left, adopted, own)]

    assert statuses() == [200, 200, 200]
    if change == "fall":
        change_role(admin, maker, "PROVIDER")
    else:
        set_active(admin, maker, active=False)
    assert statuses() == [401, 200, 401]
    assert listed(admin, left.id)["createdBy"] == maker.id
    assert listed(admin, left.id)["revokedReason"] == "maker_not_admin"
    assert listed(admin, adopted.id)["adoptedBy"] == admin.id
    if change == "fall":
        change_role(admin, maker, "ADMIN")
    else:
        set_active(admin, maker, active=True)
    assert statuses() == [401, 200, 401]
    late = admin.call("POST", f"{API_KEYS}/{left.id}/adopt")
    assert_problem(late, 409, code="key_revoked")


def test_a_key_outlasts_whoever_adopted_it_as_long_as_its_maker_is_there(
    admin: Actor, people: People, user: Actor
) -> None:
    adopter = people.new("ADMIN")
    machine = Machine(admin.client, make(admin, userId=user.id))
    assert adopter.call("POST", f"{API_KEYS}/{machine.id}/adopt").status_code == 200
    change_role(admin, adopter, "USER")
    assert machine.call("GET", f"{USERS}/profile").status_code == 200


def test_a_key_that_a_change_broke_off_before_it_ended_does_not_work_nor_come_back(
    admin: Actor, people: People, user: Actor, store: Store, redis_client: Redis
) -> None:
    maker = people.new("ADMIN")
    machine = Machine(maker.client, make(maker, userId=user.id))
    change_role(admin, maker, "USER")
    # As if the process had died between the change of the account and the end of the key.
    alive = {"$unset": {"revokedAt": "", "revokedReason": ""}}
    store.api_keys.update_one({"_id": ObjectId(machine.id)}, alive)
    redis_client.delete(f"api_key:{(digest_of(machine.key) or '')[:32]}")
    assert_problem(machine.call("GET", f"{USERS}/profile"), 401)
    change_role(admin, maker, "ADMIN")
    assert_problem(machine.call("GET", f"{USERS}/profile"), 401)
    assert listed(admin, machine.id)["revokedReason"] == "maker_not_admin"


@pytest.mark.anyio
async def test_a_key_made_while_its_account_is_locked_out_does_not_outlast_it(
    in_process: InProcess, admin: Actor, user: Actor
) -> None:
    class Slow(ApiKeyRepository):
        """Lets the account be locked out between the check and the key."""

        async def add(self, document: ApiKey) -> ApiKey:
            await asyncio.to_thread(set_active, admin, user, active=False)
            return await super().add(document)

    async with in_process() as client:
        services = client.services
        keys = Slow(services.mongo, services.cache)
        background = services.background
        users = services.user_repository
        service = ApiKeyService(keys, users, services.audit_log, background, live=False)
        maker = Principal(id=admin.id, role=Role.ADMIN, session_id="s")
        with pytest.raises(KeyEnded):
            await service.create(maker, ApiKeyCreate("Late", Role.USER, user.id))
        (row,) = await keys.list(user_id=user.id)
    assert row.revoked_reason is EndReason.ACCOUNT_CHANGED


@pytest.mark.owasp(line="API5")
def test_a_key_can_do_what_its_role_can_and_no_more(admin: Actor, people: People) -> None:
    limited = Machine(admin.client, make(admin, role="LAB_ASSISTANT"))
    assert limited.call("GET", ADMIN_USERS).status_code == 403
    assert limited.call("POST", f"{PAYMENTS}/create", json=payment_body()).status_code == 403
    mighty = Machine(admin.client, make(admin, role="ADMIN"))
    assert mighty.call("GET", ADMIN_USERS).status_code == 200


@pytest.mark.owasp(line="API5")
def test_a_key_changes_no_accounts_and_so_gets_no_successor(admin: Actor, people: People) -> None:
    mighty = Machine(admin.client, make(admin, role="ADMIN"))
    accomplice = people.new("PROVIDER")
    one = f"{ADMIN_USERS}/{accomplice.id}"
    for method, path, body in (
        ("POST", ADMIN_USERS, sign_up_body(type="PROVIDER")),
        ("PUT", f"{one}/role", {"role": "ADMIN"}),
        ("POST", f"{one}/deactivate", None),
        ("POST", f"{one}/activate", None),
    ):
        assert_problem(mighty.call(method, path, json=body), 403, code="forbidden")
    assert mighty.call("GET", one).json()["type"] == "PROVIDER"
    assert accomplice.profile().status_code == 200


@pytest.mark.owasp(line="API5")
def test_a_key_makes_and_sees_no_keys(admin: Actor) -> None:
    mighty = Machine(admin.client, make(admin, role="ADMIN"))
    body = {"name": "Successor", "role": "ADMIN"}
    assert mighty.call("POST", API_KEYS, json=body).status_code == 403
    assert mighty.call("GET", API_KEYS).status_code == 403
    assert mighty.call("DELETE", f"{API_KEYS}/{mighty.id}").status_code == 403


def test_a_key_signs_nobody_out(machine: Machine, user: Actor) -> None:
    attempts = [
        machine.call("POST", f"{USERS}/logout"),
        machine.call("DELETE", f"{USERS}/sessions"),
        machine.call("PUT", f"{USERS}/update", json={"name": "Machine"}),
    ]
    assert [answer.status_code for answer in attempts] == [403, 403, 403]
    assert user.profile().status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"userId": "0" * 24}, "userId"),
        ({"userId": {"$ne": None}}, "userId"),
        ({"role": "KING"}, "role"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "2099-01-01T00:00:00"}, "expiresAt"),
        ({"digest": "0" * 64}, "digest"),
        ({"key": "kp_test_x"}, "key"),
    ],
)
def test_bad_keys_are_refused_by_field(admin: Actor, body: dict[str, Any], field: str) -> None:
    assert_problem(make(admin, **body), 400, field=field)


def test_nobody_gets_a_key_beyond_their_account(admin: Actor, people: People, user: Actor) -> None:
    assert_problem(make(admin, userId=user.id, role="ADMIN"), 400, field="role")
    assert_problem(make(admin, userId=user.id, role="PROVIDER"), 400, field="role")
    # In another administrator's name one could act unseen.
    other = people.new("ADMIN")
    assert_problem(make(admin, userId=other.id, role="ADMIN"), 400, field="userId")


def test_what_is_no_key_is_refused_and_leaves_nothing_behind(
    api: httpx.Client, redis_client: Redis
) -> None:
    forged = new_key(live=False)
    held = set(redis_client.scan_iter("api_key:*"))
    for key in (
        forged,
        forged[:-1],
        "kp_",
        "kp_live_" + "a" * 49,
        "kp_test_" + "é" * 49,
        f"{forged}x",
    ):
        headers = {b"Authorization": f"Bearer {key}".encode()}
        assert_problem(api.get(f"{USERS}/profile", headers=headers), 401)
    assert set(redis_client.scan_iter("api_key:*")) == held


@pytest.mark.anyio
async def test_a_key_expires_and_its_use_is_noted_every_five_minutes(
    in_process: InProcess,
) -> None:
    clock = FrozenClock()
    start = clock.now
    async with in_process(clock=clock) as client:
        headers = bearer(await _admin_token(client))
        body = {
            "name": "Timed",
            "role": "USER",
            "expiresAt": (start + timedelta(minutes=8)).isoformat(),
        }
        created = (await client.post(API_KEYS, json=body, headers=headers)).json()
        machine = bearer(created["key"])

        async def used_at() -> datetime | None:
            keys = (await client.get(API_KEYS, headers=headers)).json()["keys"]
            (at,) = (k["lastUsedAt"] for k in keys if k["_id"] == created["details"]["_id"])
            return None if at is None else datetime.fromisoformat(at)

        async def use() -> int:
            answer = await client.get(f"{USERS}/profile", headers=machine)
            await client.services.background.drain()
            return answer.status_code

        assert await used_at() is None
        assert await use() == 200
        assert await used_at() == start
        clock.advance(minutes=4)
        assert await use() == 200
        assert await used_at() == start
        clock.advance(minutes=2)
        assert await use() == 200
        assert await used_at() == clock.now
        clock.advance(minutes=2)
        assert await use() == 401


async def _admin_token(client: InProcessClient) -> str:
    body = sign_up_body()
    signed_up = (await client.post(f"{USERS}/signup", json=body)).json()
    accounts = client.services.account_repository
    user = await accounts.get(id=signed_up["_id"])
    assert await accounts.change_standing(user, Role.ADMIN, UserStatus.ACTIVE)
    login = {"email": body["email"], "password": body["password"]}
    token: str = (await client.post(f"{USERS}/login", json=login)).json()["token"]
    return token
