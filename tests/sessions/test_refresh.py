"""Refresh tokens rotate; a used one that comes back ends the whole family."""

import asyncio
import hashlib
import hmac
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from redis import Redis

from kernapay.core.keys import derive_key
from kernapay.security.tokens import RefreshTokens
from tests.actors import USERS, Actor, People, assert_problem
from tests.aliases import Json, Store, json_of
from tests.clocks import FrozenClock
from tests.databases import row_of
from tests.in_process import InProcess
from tests.sessions.conftest import sign_in, sign_up
from tests.stack import StartApi, bearer

pytestmark = pytest.mark.owasp(line="API2")


def log_in(user: Actor) -> Json:
    answer = user.client.post(
        f"{USERS}/login", json={"email": user.email, "password": user.password}
    )
    assert answer.status_code == 200, answer.text
    return json_of(answer)


def refresh(client: httpx.Client, tokens: dict[str, Any]) -> httpx.Response:
    return client.post(f"{USERS}/refresh", json={"refreshToken": tokens["refreshToken"]})


async def refresh_async(client: httpx.AsyncClient, tokens: dict[str, Any]) -> httpx.Response:
    return await client.post(f"{USERS}/refresh", json={"refreshToken": tokens["refreshToken"]})


def profile(client: httpx.Client, tokens: dict[str, Any]) -> int:
    return client.get(f"{USERS}/profile", headers=bearer(tokens["token"])).status_code


def test_a_refresh_gives_two_new_tokens_of_the_same_session(
    api: httpx.Client, user: Actor, store: Store
) -> None:
    first = log_in(user)
    answer = refresh(api, first)
    assert answer.status_code == 200, answer.text
    second = answer.json()
    assert second["user"] == first["user"]
    assert second["refreshToken"] != first["refreshToken"]
    session_id = first["refreshToken"].partition(".")[0]
    assert second["refreshToken"].startswith(f"{session_id}.")
    assert profile(api, second) == 200
    assert profile(api, first) == 200, "its own expiry has not come"
    assert store.sessions.count_documents({"_id": session_id}) == 1


def test_only_hashes_of_refresh_tokens_are_stored(
    api: httpx.Client, user: Actor, store: Store, redis_client: Redis
) -> None:
    first = log_in(user)
    second = refresh(api, first).json()
    assert profile(api, second) == 200
    hashed = hashlib.sha256(second["refreshToken"].encode()).hexdigest()
    row = row_of(store.users, _id=ObjectId(user.id))
    session = row_of(store.sessions, _id=first["refreshToken"].partition(".")[0])
    assert row["refreshToken"] == session["refreshHash"] == hashed
    cached = redis_client.hgetall(f"session:{user.id}")
    assert cached
    for tokens in (first, second):
        secret = tokens["refreshToken"].partition(".")[2]
        for place in (row, session, cached):
            assert secret not in str(place)
            assert tokens["token"] not in str(place)


def test_two_refreshes_at_once_get_the_same_tokens(
    user: Actor, api: httpx.Client, start_api: StartApi
) -> None:
    clients = [api, start_api().client]
    for _ in range(5):
        tokens = log_in(user)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: refresh(clients[n % 2], tokens), range(8)))  # noqa: B023
        assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers]
        (successor,) = {answer.json()["refreshToken"] for answer in answers}
        assert refresh(api, {"refreshToken": successor}).status_code == 200


def test_a_refresh_that_broke_off_counts_once_it_was_repeated(
    api: httpx.Client, user: Actor, redis_client: Redis
) -> None:
    tokens = log_in(user)
    assert profile(api, tokens) == 200
    key, field = f"session:{user.id}", tokens["refreshToken"].partition(".")[0]
    before = redis_client.hget(key, field)
    assert refresh(api, tokens).status_code == 200
    # As if its process had died between its write and dropping the session.
    redis_client.hset(key, field, str(before))
    assert refresh(api, tokens).status_code == 200
    assert redis_client.hget(key, field) is None


@pytest.mark.anyio
async def test_a_lost_answer_can_be_asked_for_again_within_seconds(
    in_process: InProcess, clock: FrozenClock
) -> None:
    async with in_process(clock=clock) as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])
        lost = await refresh_async(client, tokens)
        clock.advance(seconds=9)
        again = await refresh_async(client, tokens)
        assert again.status_code == 200, again.text
        assert again.json()["refreshToken"] == lost.json()["refreshToken"]
        assert (await refresh_async(client, again.json())).status_code == 200


@pytest.mark.anyio
async def test_an_old_token_ends_the_family_of_thief_and_owner(
    in_process: InProcess, clock: FrozenClock
) -> None:
    async with in_process(clock=clock) as client:
        email = (await sign_up(client))["email"]
        stolen = await sign_in(client, email)
        other_device = await sign_in(client, email)
        owner = (await refresh_async(client, stolen)).json()
        clock.advance(seconds=11)
        assert_problem(await refresh_async(client, stolen), 401, code="refresh_refused")
        assert_problem(await refresh_async(client, owner), 401, code="refresh_refused")
        for tokens, status in ((stolen, 401), (owner, 401), (other_device, 200)):
            answer = await client.get(f"{USERS}/profile", headers=bearer(tokens["token"]))
            assert answer.status_code == status


@pytest.mark.anyio
async def test_a_token_two_rotations_old_is_theft_even_within_seconds(
    in_process: InProcess, clock: FrozenClock
) -> None:
    async with in_process(clock=clock) as client:
        first = await sign_in(client, (await sign_up(client))["email"])
        second = (await refresh_async(client, first)).json()
        third = (await refresh_async(client, second)).json()
        assert_problem(await refresh_async(client, first), 401)
        assert_problem(await refresh_async(client, third), 401)


@pytest.mark.anyio
async def test_a_session_lives_as_long_as_it_is_refreshed_and_no_longer(
    in_process: InProcess, clock: FrozenClock, store: Store
) -> None:
    async with in_process(clock=clock, token_expiry="1h", refresh_expiry="10d") as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])
        for _ in range(3):
            clock.advance(days=9)
            expired = await client.get(f"{USERS}/profile", headers=bearer(tokens["token"]))
            assert_problem(expired, 401)
            answer = await refresh_async(client, tokens)
            assert answer.status_code == 200, answer.text
            tokens = answer.json()
            alive = await client.get(f"{USERS}/profile", headers=bearer(tokens["token"]))
            assert alive.status_code == 200
        ends = datetime.fromisoformat(tokens["refreshExpiresAt"])
        assert ends == clock() + timedelta(days=10)
        session_id = tokens["refreshToken"].partition(".")[0]
        row = await asyncio.to_thread(store.sessions.find_one, {"_id": session_id})
        assert row is not None
        assert row["expiresAt"] == ends, "the TTL index must not take it earlier"
        clock.advance(days=10)
        assert_problem(await refresh_async(client, tokens), 401, code="refresh_refused")


@pytest.mark.anyio
async def test_a_token_that_outlives_the_refresh_token_keeps_its_session(
    in_process: InProcess, clock: FrozenClock
) -> None:
    async with in_process(clock=clock, token_expiry="60d", refresh_expiry="1d") as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])
        clock.advance(days=59)
        answer = await client.get(f"{USERS}/profile", headers=bearer(tokens["token"]))
        assert answer.status_code == 200


@pytest.mark.anyio
async def test_a_lost_answer_survives_a_change_of_the_jwt_secret(
    in_process: InProcess, clock: FrozenClock
) -> None:
    old, new = "old-secret-of-the-tests-0000000000", "new-secret-of-the-tests-0000000000"
    async with in_process(clock=clock, jwt_secret=old) as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])
        successor = (await refresh_async(client, tokens)).json()["refreshToken"]
    async with in_process(clock=clock, jwt_secret=new, jwt_secret_previous=old) as client:
        again = await refresh_async(client, tokens)
        assert again.json()["refreshToken"] == successor
        assert (await refresh_async(client, again.json())).status_code == 200


def test_an_inactive_account_cannot_refresh(api: httpx.Client, user: Actor, store: Store) -> None:
    tokens = log_in(user)
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"status": "INACTIVE"}})
    assert_problem(refresh(api, tokens), 401, code="refresh_refused")


def test_a_logged_out_session_cannot_be_refreshed(api: httpx.Client, user: Actor) -> None:
    tokens = log_in(user)
    assert api.post(f"{USERS}/logout", headers=bearer(tokens["token"])).status_code == 200
    assert_problem(refresh(api, tokens), 401, code="refresh_refused")


def test_tokens_do_not_stand_in_for_each_other(api: httpx.Client, user: Actor) -> None:
    tokens = log_in(user)
    as_refresh = {"refreshToken": tokens["token"]}
    assert refresh(api, as_refresh).status_code in (400, 401)
    as_access = {"token": tokens["refreshToken"]}
    assert profile(api, as_access) == 401
    assert profile(api, tokens) == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"refreshToken": None}, 400),
        ({"refreshToken": 7}, 400),
        ({"refreshToken": {"$ne": ""}}, 400),
        ({"refreshToken": "a" * 129}, 400),
        ({"refreshToken": "a.b\x00"}, 400),
        ({"refreshToken": "a", "userId": "b"}, 400),
        ({"refreshToken": ""}, 400),
        ({"refreshToken": "."}, 401),
        ({"refreshToken": "nobody.nothing"}, 401),
    ],
    ids=str,
)
def test_a_refresh_token_that_is_none_is_refused(
    api: httpx.Client, body: dict[str, Any], status: int
) -> None:
    assert_problem(api.post(f"{USERS}/refresh", json=body), status)


def test_a_token_that_never_was_ours_ends_no_session(api: httpx.Client, people: People) -> None:
    """The id of a session is in every access token, which servers of shops may see."""
    tokens, others = log_in(people.new()), log_in(people.new())
    session_id, _, secret = tokens["refreshToken"].partition(".")
    mark = secret[-22:]
    made_up = (
        *("x", "", ".", ".".join("ab"), "A" * 64, "_" * 64, secret[::-1], secret.swapcase()),
        *(others["refreshToken"].partition(".")[2], "A" * 42 + mark, f"{secret}A", f"{secret}."),
        secret[:-1],
    )
    for text in made_up:
        assert_problem(
            refresh(api, {"refreshToken": f"{session_id}.{text}"}), 401, code="refresh_refused"
        )
    assert_problem(refresh(api, {"refreshToken": session_id}), 401)
    assert profile(api, tokens) == 200
    assert refresh(api, tokens).status_code == 200


def test_tokens_of_an_earlier_version_are_refreshed_and_repeated(store: Store, user: Actor) -> None:
    session_id = log_in(user)["refreshToken"].partition(".")[0]
    unmarked = f"{session_id}.{'a' * 43}"
    stored = {"refreshHash": RefreshTokens.fingerprint(unmarked)}
    store.sessions.update_one({"_id": session_id}, {"$set": stored})
    tokens = {"refreshToken": unmarked}
    first, again = refresh(user.client, tokens), refresh(user.client, tokens)
    assert (first.status_code, again.status_code) == (200, 200), first.text
    assert first.json()["refreshToken"] == again.json()["refreshToken"]
    # It was ours, so that it still tells of a thief once the time for repeats is over.
    long_ago = {"rotatedAt": datetime(2020, 1, 1, tzinfo=UTC)}
    store.sessions.update_one({"_id": session_id}, {"$set": long_ago})
    assert_problem(refresh(user.client, tokens), 401)
    assert refresh(user.client, first.json()).status_code == 401


def test_a_token_derived_by_a_process_of_an_earlier_version_is_found() -> None:
    tokens = RefreshTokens(["a-secret-of-the-tests", "one-before-it"])
    token = tokens.create("session")
    for secret in ("a-secret-of-the-tests", "one-before-it"):
        digest = hmac.digest(derive_key(secret, "refresh-token"), token.encode(), "sha256")
        unmarked = f"session.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"
        assert tokens.find_next(token, tokens.fingerprint(unmarked)) == unmarked
        assert tokens.is_ours(RefreshTokens([secret]).create("session"))
    assert not tokens.is_ours(RefreshTokens(["another"]).create("session"))
