"""Passwords: what is refused, how they change, what a change ends, and what is kept of them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from bson import ObjectId

from kernapay.core.errors import InvalidInput
from kernapay.security.passwords import check_strength
from tests.actors import USERS, Actor, assert_problem, log_in
from tests.aliases import Store
from tests.factories import PASSWORD, new_email, sign_up_body, unique
from tests.in_process import InProcess
from tests.sessions.conftest import sign_in, sign_up
from tests.stack import bearer

NEW = "wrong zebra battery"


def change(actor: Actor, **body: Any) -> httpx.Response:
    return actor.call(
        "PUT",
        f"{USERS}/password",
        json={"currentPassword": PASSWORD, "password": NEW, "confirmPassword": NEW, **body},
    )


@pytest.mark.parametrize(
    "password",
    [
        "short 7",
        "password",
        "12345678",
        "Password123",
        "QWERTYUIOP",
        "iloveyou1",
        "asha.rao1",
        "ASHA.rao!",
    ],
)
@pytest.mark.owasp(line="API2")
def test_weak_passwords_are_refused_at_sign_up_by_name(api: httpx.Client, password: str) -> None:
    body = sign_up_body(
        email=f"asha.rao@{unique('d')}.com", password=password, confirmPassword=password
    )
    assert_problem(api.post(f"{USERS}/signup", json=body), 400, field="password")


@pytest.mark.parametrize(
    "password",
    [
        "Password123!",
        "Str0ngPass!",
        "Test@1234",
        "Secret123!",
        "P@ssw0rd123",
        "Kernapay-demo-1",
        "पासवर्ड बहुत लंबा",
    ],
)
def test_reasonable_passwords_are_taken(api: httpx.Client, password: str) -> None:
    body = sign_up_body(name="Test User", password=password, confirmPassword=password)
    assert api.post(f"{USERS}/signup", json=body).status_code == 201
    log_in(api, body["email"], password)


@pytest.mark.parametrize(
    ("password", "email", "name"),
    [
        ("sita1234"[:7] + "sita", "x@example.com", "Sita"),
        ("verma.s1", "s.verma@example.com", "S Verma"),
        ("rohanrohan", "rohan@example.com", "R K"),
    ],
)
def test_a_password_must_not_be_little_more_than_a_name(
    password: str, email: str, name: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_strength(password, email, name)
    assert refused.value.field == "password"


def test_no_byte_past_the_72nd_is_cut_off(api: httpx.Client) -> None:
    long = "correct horse battery staple " * 4
    body = sign_up_body(password=long, confirmPassword=long)
    assert api.post(f"{USERS}/signup", json=body).status_code == 201
    shorter = {"email": body["email"], "password": long[:-1]}
    assert_problem(api.post(f"{USERS}/login", json=shorter), 401)
    log_in(api, body["email"], long)


def test_what_the_express_service_made_of_a_password_opens_no_account_of_ours(
    api: httpx.Client,
) -> None:
    """It wrote `&lt;` for `<`, and that form counts for its own hashes only."""
    body = sign_up_body(password="correct &lt;battery", confirmPassword="correct &lt;battery")
    assert api.post(f"{USERS}/signup", json=body).status_code == 201
    typed = {"email": body["email"], "password": "correct <battery"}
    assert_problem(api.post(f"{USERS}/login", json=typed), 401)


@pytest.mark.owasp(line="API2")
def test_a_change_ends_every_session_and_keeps_the_caller_signed_in(
    user: Actor, store: Store
) -> None:
    other = user.device()
    answer = change(user)
    assert answer.status_code == 200, answer.text
    for old in (user, other):
        assert_problem(old.profile(), 401)
    assert store.sessions.count_documents({"userId": ObjectId(user.id)}) == 1
    user.token = answer.json()["token"]
    assert user.profile().status_code == 200
    log_in(user.client, user.email, NEW)
    refused = user.client.post(f"{USERS}/login", json={"email": user.email, "password": PASSWORD})
    assert_problem(refused, 401)


def test_a_change_ends_refresh_tokens_too(user: Actor) -> None:
    login = user.client.post(f"{USERS}/login", json={"email": user.email, "password": PASSWORD})
    tokens = login.json()
    assert change(user).status_code == 200
    answer = user.client.post(f"{USERS}/refresh", json={"refreshToken": tokens["refreshToken"]})
    assert_problem(answer, 401, code="refresh_refused")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"currentPassword": "not the password"}, "currentPassword"),
        ({"confirmPassword": "another thing"}, "confirmPassword"),
        ({"password": "password1", "confirmPassword": "password1"}, "password"),
        ({"password": PASSWORD, "confirmPassword": PASSWORD}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": {"$ne": ""}}, "password"),
        ({"email": "someone@example.com"}, "email"),
        ({"userId": "6b03579944bc3376910046ed"}, "userId"),
    ],
    ids=str,
)
def test_a_change_that_is_refused_names_the_field_and_ends_nothing(
    user: Actor, body: dict[str, Any], field: str
) -> None:
    assert_problem(change(user, **body), 400, field=field)
    assert user.profile().status_code == 200
    log_in(user.client, user.email, PASSWORD)


def test_of_changes_at_the_same_time_one_wins(user: Actor) -> None:
    """Two owners of one password: never a success for both, never none signed in."""
    wanted = [f"zebra battery {unique()}" for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda new: change(user, password=new, confirmPassword=new), wanted)
        )
    statuses = [answer.status_code for answer in answers]
    assert 200 in statuses
    assert set(statuses) <= {200, 400, 401, 409}, [answer.text for answer in answers]
    works = [
        user.client.post(f"{USERS}/login", json={"email": user.email, "password": new}).is_success
        for new in wanted
    ]
    assert works.count(True) == 1


def test_a_login_that_overlaps_a_change_leaves_no_session_behind(user: Actor) -> None:
    """Whoever signs in with the old password while it changes is signed out by the change."""
    for round_ in range(4):
        old, new = (PASSWORD, NEW) if round_ % 2 == 0 else (NEW, PASSWORD)
        body = {"currentPassword": old, "password": new, "confirmPassword": new}
        with ThreadPoolExecutor(7) as pool:
            credentials = {"email": user.email, "password": old}
            logins = [
                pool.submit(user.client.post, f"{USERS}/login", json=credentials) for _ in range(6)
            ]
            changed = pool.submit(user.call, "PUT", f"{USERS}/password", json=body).result()
        assert changed.status_code == 200, changed.text
        for login in logins:
            if login.result().is_success:
                tokens = login.result().json()
                late = user.client.get(f"{USERS}/profile", headers=bearer(tokens["token"]))
                assert_problem(late, 401)
        user.token = changed.json()["token"]
        assert user.profile().status_code == 200


@pytest.mark.anyio
async def test_a_sign_in_brings_the_hash_to_todays_cost(
    in_process: InProcess, store: Store
) -> None:
    async def stored(email: str) -> str:
        row = await asyncio.to_thread(store.users.find_one, {"email": email})
        assert row is not None
        return str(row["password"])

    async with in_process(salt_rounds=4) as client:
        email = (await sign_up(client))["email"]
        before = await stored(email)
        assert ",r=4$" in before
    async with in_process(salt_rounds=5) as client:
        wrong = await client.post(f"{USERS}/login", json={"email": email, "password": NEW})
        assert wrong.status_code == 401
        assert await stored(email) == before, "a wrong password changes nothing"
        logins = (sign_in(client, email) for _ in range(4))
        assert len({tokens["token"] for tokens in await asyncio.gather(*logins)}) == 4
        after = await stored(email)
        assert ",r=5$" in after
        await sign_in(client, email)
        assert await stored(email) == after


def test_signing_in_leaves_updated_at_alone(user: Actor) -> None:
    before = user.profile().json()["updatedAt"]
    other = user.device()
    assert other.profile().json()["updatedAt"] == before


@pytest.mark.owasp(line="API2")
def test_an_unknown_address_cannot_be_told_from_a_wrong_password(
    api: httpx.Client, user: Actor, store: Store
) -> None:
    store.users.update_one({"_id": ObjectId(user.device().id)}, {"$set": {"status": "INACTIVE"}})
    answers = [
        api.post(f"{USERS}/login", json={"email": email, "password": password})
        for email, password in (
            (new_email(), PASSWORD),
            ("not an address", PASSWORD),
            (user.email, PASSWORD),
            (user.email, "not the password"),
        )
    ]
    problems = [
        {name: value for name, value in assert_problem(answer, 401).items() if name != "requestId"}
        for answer in answers
    ]
    assert problems == [problems[0]] * 4
