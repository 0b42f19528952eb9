"""The devices that are signed in: seen, and signed out one by one or all together."""

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest
from bson import ObjectId
from redis import Redis

from tests.actors import USERS, Actor, People, assert_problem
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.clusters.proxy import Mode, Proxy
from tests.in_process import InProcess
from tests.sessions.conftest import sign_in, sign_up
from tests.stack import Api, bearer


def devices(actor: Actor) -> list[Json]:
    answer = actor.call("GET", f"{USERS}/sessions")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


@pytest.mark.owasp(line="API3")
def test_my_devices_are_listed_newest_first_without_their_tokens(
    api: httpx.Client, user: Actor
) -> None:
    login = api.post(
        f"{USERS}/login",
        json={"email": user.email, "password": user.password},
        headers={"User-Agent": "Telephone/1.0"},
    )
    phone = Actor(api, login.json()["user"], user.password, login.json()["token"])
    answer = phone.call("GET", f"{USERS}/sessions")
    newest, oldest = answer.json()
    assert newest["userAgent"] == "Telephone/1.0"
    assert (newest["current"], oldest["current"]) == (True, False)
    assert set(newest) == {"_id", "userAgent", "createdAt", "lastUsedAt", "expiresAt", "current"}
    for secret in (phone.token, user.token, login.json()["refreshToken"].partition(".")[2]):
        assert secret not in answer.text


def test_one_device_is_signed_out_at_once_and_the_others_stay(user: Actor) -> None:
    lost = user.device()
    assert lost.profile().status_code == 200
    (gone,) = [device["_id"] for device in devices(lost) if device["current"]]
    assert user.call("DELETE", f"{USERS}/sessions/{gone}").status_code == 200
    assert_problem(lost.profile(), 401)
    assert user.profile().status_code == 200
    assert_problem(user.call("DELETE", f"{USERS}/sessions/{gone}"), 404)


@pytest.mark.owasp(line="API1")
def test_nobody_ends_a_session_of_somebody_else(user: Actor, people: People) -> None:
    for role in ("USER", "PROVIDER", "LAB_ASSISTANT", "ADMIN"):
        stranger = people.new(role)
        (mine,) = (device["_id"] for device in devices(user))
        assert_problem(stranger.call("DELETE", f"{USERS}/sessions/{mine}"), 404)
        assert user.profile().status_code == 200


@pytest.mark.parametrize("session_id", ["x", "a" * 23, "$ne", "..%2F..", "a" * 21 + "%00"])
def test_an_id_that_cannot_be_one_is_refused(user: Actor, session_id: str) -> None:
    answer = user.call("DELETE", f"{USERS}/sessions/{session_id}")
    assert answer.status_code in (400, 404)
    assert user.profile().status_code == 200


def test_all_devices_are_signed_out_or_all_but_this_one(user: Actor) -> None:
    second, third = user.device(), user.device()
    answer = second.call("DELETE", f"{USERS}/sessions", params={"keepCurrent": "true"})
    assert answer.json()["message"] == "Signed out on 2 devices."
    assert_problem(user.profile(), 401)
    assert_problem(third.profile(), 401)
    assert second.profile().status_code == 200
    assert second.call("DELETE", f"{USERS}/sessions").status_code == 200
    assert_problem(second.profile(), 401)


def test_what_is_no_boolean_signs_nobody_out(user: Actor) -> None:
    assert_problem(user.call("DELETE", f"{USERS}/sessions", params={"keepCurrent": "perhaps"}), 400)
    assert user.profile().status_code == 200


def test_session_entries_keep_their_key_and_lifetime(user: Actor, redis_client: Redis) -> None:
    assert user.profile().status_code == 200
    assert 86_000 < redis_client.ttl(f"session:{user.id}") <= 86_400
    assert user.log_out().status_code == 200
    assert not redis_client.exists(f"session:{user.id}")


def test_keys_of_the_former_service_do_not_take_the_cache_down(
    user: Actor, redis_client: Redis, api_server: Api
) -> None:
    """It kept JSON in strings under the same names."""
    lost = len(api_server.log_entries("redis_lost"))
    for name, call in (
        ("session", user.profile),
        ("user", user.profile),
        ("payment_history", user.history),
    ):
        key = f"{name}:{user.id}"
        redis_client.delete(key)
        redis_client.set(key, '{"token": "x"}', ex=86_400)
        assert call().status_code == 200
        assert redis_client.type(key) == "hash", name
    assert len(api_server.log_entries("redis_lost")) == lost


@pytest.mark.anyio
async def test_the_last_use_is_noted_once_an_hour(
    in_process: InProcess, clock: FrozenClock, store: Store
) -> None:
    async with in_process(clock=clock) as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])

        async def last_used() -> datetime:
            for _ in range(2):  # the first is noted after it was answered
                answer = await client.get(f"{USERS}/sessions", headers=bearer(tokens["token"]))
                await client.services.background.drain()
            return datetime.fromisoformat(answer.json()[0]["lastUsedAt"])

        signed_in = await last_used()
        clock.advance(minutes=59)
        assert await last_used() == signed_in
        clock.advance(minutes=2)
        assert await last_used() == signed_in + timedelta(minutes=61)
        expired = {"userId": ObjectId(tokens["user"]["_id"])}
        past = {"$set": {"expiresAt": clock() - timedelta(seconds=1)}}
        await asyncio.to_thread(store.sessions.update_one, expired, past)
        other = await sign_in(client, tokens["user"]["email"])
        answer = await client.get(f"{USERS}/sessions", headers=bearer(other["token"]))
        assert len(answer.json()) == 1, "what has expired is no device any more"


@pytest.mark.anyio
async def test_nobody_waits_for_a_lost_database_to_note_a_use(
    in_process: InProcess, clock: FrozenClock, mongo_proxy: Proxy, store: Store
) -> None:
    """What the cache knows is answered at once, for sessions and for API keys."""
    async with in_process(clock=clock, mongodb_url=mongo_proxy.mongodb_url(store.name)) as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])
        where = {"_id": ObjectId(tokens["user"]["_id"])}
        appointed = {"$set": {"type": "ADMIN"}}
        await asyncio.to_thread(store.users.update_one, where, appointed)
        body = {"name": "Back end", "role": "USER"}
        made = await client.post(
            "/v1/api/admin/api-keys", json=body, headers=bearer(tokens["token"])
        )
        assert made.status_code == 201, made.text
        key = bearer(made.json()["key"])

        async def profiles() -> None:
            async with asyncio.timeout(1):  # the driver looks for the database for three seconds
                for headers in (bearer(tokens["token"]), key) * 3:
                    answer = await client.get(f"{USERS}/profile", headers=headers)
                    assert answer.status_code == 200, answer.text

        await profiles()
        services = client.services
        await services.background.drain()
        await profiles()
        mongo_proxy.set(Mode.CUT)
        clock.advance(minutes=61)
        await profiles()
        await services.background.drain()
        await profiles()
        mongo_proxy.set(Mode.PASS)
        await services.background.drain()
