"""POST /users/login and /users/logout: who gets in, and who stays in."""

from typing import Any

import bcrypt
import httpx
import pytest
from bson import ObjectId
from redis import Redis

from kernapay.security.principal import Role
from kernapay.users.models import UserStatus
from tests.actors import USERS, Actor, People, assert_problem, log_in
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import PASSWORD, new_email, unique
from tests.in_process import InProcess
from tests.stack import bearer


def attempt(client: httpx.Client, email: Any, password: Any) -> httpx.Response:
    return client.post(f"{USERS}/login", json={"email": email, "password": password})


def set_status(store: Store, redis_client: Redis, user: Actor, status: str) -> None:
    """Change the row, then delete the cached profile, as an operator's tool does."""
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"status": status}})
    redis_client.delete(f"user:{user.id}")


def test_login_gives_a_token_and_the_user(api: httpx.Client, user: Actor) -> None:
    answer = attempt(api, user.email, PASSWORD)
    assert answer.status_code == 200
    document = answer.json()
    assert document["user"] == {
        "_id": user.id,
        "email": user.email,
        "name": "Asha Rao",
        "type": "USER",
    }
    assert document["expiresAt"].endswith("Z")
    assert document["token"].count(".") == 2
    profile = api.get(f"{USERS}/profile", headers=bearer(document["token"]))
    assert profile.status_code == 200


@pytest.mark.owasp(line="API2")
def test_unknown_wrong_and_inactive_are_told_the_same(
    api: httpx.Client, user: Actor, people: People, store: Store, redis_client: Redis
) -> None:
    idle = people.new()
    set_status(store, redis_client, idle, "INACTIVE")
    answers = [
        attempt(api, new_email(), PASSWORD),
        attempt(api, user.email, "wrong horse battery"),
        attempt(api, idle.email, PASSWORD),
        attempt(api, "not an address", PASSWORD),
        attempt(api, user.email, "x" * 100),
        attempt(api, user.email, "nul\x00byte"),
    ]
    problems = [
        {**assert_problem(answer, 401, code="unauthenticated"), "requestId": ""}
        for answer in answers
    ]
    assert all(problem == problems[0] for problem in problems)
    assert all("www-authenticate" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ({"$ne": ""}, PASSWORD, "email"),
        (["a@example.com"], PASSWORD, "email"),
        (None, PASSWORD, "email"),
        ("", PASSWORD, "email"),
        ("asha@example.com", {"$ne": ""}, "password"),
        ("asha@example.com", "", "password"),
        ("asha@example.com", 12345678, "password"),
        ("asha@example.com", "x" * 129, "password"),
    ],
)
def test_a_malformed_login_names_the_field(
    api: httpx.Client, email: Any, password: Any, field: str
) -> None:
    assert_problem(attempt(api, email, password), 400, field)


@pytest.mark.owasp(line="API2")
def test_logout_ends_this_device_at_once_and_no_other(user: Actor) -> None:
    other = user.device()
    assert user.profile().status_code == other.profile().status_code == 200
    assert user.log_out().status_code == 200
    assert_problem(user.profile(), 401)
    assert_problem(user.log_out(), 401)
    assert other.profile().status_code == 200


@pytest.mark.owasp(line="API2")
def test_an_account_made_inactive_is_locked_out_at_once(
    user: Actor, store: Store, redis_client: Redis
) -> None:
    assert user.profile().status_code == 200
    set_status(store, redis_client, user, "INACTIVE")
    assert_problem(user.profile(), 401)
    assert_problem(user.create(), 401)
    set_status(store, redis_client, user, "ACTIVE")
    assert user.profile().status_code == 200


@pytest.mark.anyio
async def test_an_account_made_inactive_by_the_service_needs_no_help_with_the_cache(
    user: Actor, in_process: InProcess
) -> None:
    headers = bearer(user.token)
    async with in_process() as client:
        assert (await client.get(f"{USERS}/profile", headers=headers)).status_code == 200
        accounts = client.services.account_repository
        stored = await accounts.get(id=user.id)
        locked = await accounts.change_standing(stored, Role.USER, UserStatus.INACTIVE)
        assert locked is not None
        assert_problem(await client.get(f"{USERS}/profile", headers=headers), 401)
        await accounts.change_standing(locked, Role.USER, UserStatus.ACTIVE)
        assert (await client.get(f"{USERS}/profile", headers=headers)).status_code == 200


def test_a_session_gone_from_the_store_ends_when_the_cache_does(
    user: Actor, store: Store, redis_client: Redis
) -> None:
    store.sessions.delete_many({"userId": ObjectId(user.id)})
    redis_client.delete(f"session:{user.id}")
    assert_problem(user.profile(), 401)


@pytest.mark.owasp(line="API5")
def test_a_role_that_changes_holds_for_tokens_given_out_before(
    user: Actor, store: Store, redis_client: Redis
) -> None:
    other = "0123456789abcdef01234567"
    assert_problem(user.history(other), 403)
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"type": "ADMIN"}})
    redis_client.delete(f"user:{user.id}")
    assert user.history(other).status_code == 200


@pytest.mark.parametrize("prefix", [b"2b", b"2a"])
def test_a_hash_of_the_former_service_signs_in_and_is_made_new(
    api: httpx.Client, people: People, store: Store, prefix: bytes
) -> None:
    user = people.new()
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix=prefix)).decode()
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"password": old}})
    assert_problem(attempt(api, user.email, "wrong horse battery"), 401)
    assert log_in(api, user.email, PASSWORD).profile().status_code == 200
    row = row_of(store.users, _id=ObjectId(user.id))
    assert row["password"].startswith("$bcrypt-sha256$")
    assert log_in(api, user.email, PASSWORD).profile().status_code == 200


def test_an_account_whose_domain_was_listed_as_disposable_later_signs_in(
    api: httpx.Client, people: People, store: Store
) -> None:
    user = people.new()
    email = f"{unique()}@mailinator.com"
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"email": email}})
    assert log_in(api, email, PASSWORD).profile().status_code == 200


def test_a_password_past_the_reach_of_an_old_hash_does_not_sign_in(
    api: httpx.Client, people: People, store: Store
) -> None:
    user = people.new()
    seen_by_bcrypt = "p" * 72
    old = bcrypt.hashpw(seen_by_bcrypt.encode(), bcrypt.gensalt(4)).decode()
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"password": old}})
    assert_problem(attempt(api, user.email, seen_by_bcrypt + "anything"), 401)
    assert_problem(attempt(api, user.email, seen_by_bcrypt + "\0"), 401)
    assert_problem(attempt(api, user.email, "\0"), 401)
    assert log_in(api, user.email, seen_by_bcrypt).profile().status_code == 200
