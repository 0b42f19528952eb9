"""GET /users/profile and PUT /users/update."""

from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.actors import Actor, assert_problem
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import sign_up_body


@pytest.mark.owasp(line="API3")
def test_the_profile_is_ones_own_without_secrets(user: Actor) -> None:
    profile = user.profile().json()
    assert profile["_id"] == user.id
    assert profile["email"] == user.email
    assert profile["createdAt"].endswith("Z")
    assert not {"password", "refreshToken"} & profile.keys()


def test_an_update_answers_with_the_new_profile_and_everyone_sees_it_at_once(user: Actor) -> None:
    user.profile()
    answer = user.update(name="  Asha Iyer ")
    assert answer.status_code == 200
    assert answer.json()["name"] == "Asha Iyer"
    assert user.profile().json() == answer.json()
    assert user.device().profile().json()["name"] == "Asha Iyer"


def test_a_new_number_has_to_be_verified_again(user: Actor, store: Store) -> None:
    where = {"_id": ObjectId(user.id)}
    store.users.update_one(where, {"$set": {"isMobileNumberVerified": True}})
    unchanged = user.update(mobileNumber=9876543210).json()
    assert unchanged["isMobileNumberVerified"] is True
    changed = user.update(mobileNumber=9123456789).json()
    assert changed["mobileNumber"] == 9123456789
    assert changed["isMobileNumberVerified"] is False
    abroad = user.update(countryCode="+1", mobileNumber=2025550123).json()
    assert (abroad["countryCode"], abroad["mobileNumber"]) == ("+1", 2025550123)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "body"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": {"$set": "x"}}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"mobileNumber": 12}, "mobileNumber"),
        ({"mobileNumber": 1.5}, "mobileNumber"),
        ({"countryCode": "+999"}, "mobileNumber"),
        ({"countryCode": "91"}, "countryCode"),
        # Mass assignment: what people may not change of themselves is no field at all.
        ({"name": "Asha", "type": "ADMIN"}, "type"),
        ({"name": "Asha", "status": "ACTIVE"}, "status"),
        ({"name": "Asha", "isEmailVerified": True}, "isEmailVerified"),
        ({"name": "Asha", "isMobileNumberVerified": True}, "isMobileNumberVerified"),
        ({"name": "Asha", "email": "other@example.com"}, "email"),
        ({"name": "Asha", "password": "x" * 10}, "password"),
        ({"name": "Asha", "_id": "66b1f0c2a7d4e5f601234567"}, "_id"),
        ({"name": "Asha", "refreshToken": "x"}, "refreshToken"),
        ({"name": "Asha", "createdAt": "2020-01-01T00:00:00Z"}, "createdAt"),
        ({"name": "Asha", "$set": {"type": "ADMIN"}}, "$set"),
    ],
    ids=str,
)
def test_a_bad_change_is_refused_by_name_and_changes_nothing(
    user: Actor, store: Store, changes: dict[str, Any], field: str
) -> None:
    before = row_of(store.users, _id=ObjectId(user.id))
    assert_problem(user.update(**changes), 400, field)
    assert row_of(store.users, _id=ObjectId(user.id)) == before


def test_the_profile_is_cached_for_an_hour_and_dropped_on_update(
    user: Actor, redis_client: Redis, store: Store
) -> None:
    key = f"user:{user.id}"
    user.profile()
    assert 3500 < redis_client.ttl(key) <= 3600
    # Behind the service's back: only the cache can know the old name.
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"name": "Stored"}})
    assert user.profile().json()["name"] == "Asha Rao"
    user.update(mobileNumber=9123456789)
    assert not redis_client.exists(key)
    assert user.profile().json()["name"] == "Stored"


def test_the_session_is_cached_for_a_day_and_dropped_on_logout(
    user: Actor, redis_client: Redis
) -> None:
    key = f"session:{user.id}"
    user.profile()
    assert 86_000 < redis_client.ttl(key) <= 86_400
    user.log_out()
    assert not redis_client.exists(key)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(min_size=1, max_size=100))
def test_a_name_is_kept_as_written_or_refused(user: Actor, name: str) -> None:
    answer = user.update(name=name)
    if answer.status_code == 200:
        assert answer.json()["name"] == user.profile().json()["name"] == name.strip()
    else:
        assert_problem(answer, 400, "name")


def test_a_sign_up_field_is_never_lost(user: Actor) -> None:
    profile = user.profile().json()
    expected = sign_up_body(email=user.email)
    for name in ("email", "name", "mobileNumber", "countryCode", "type"):
        assert profile[name] == expected[name]
