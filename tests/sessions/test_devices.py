"""The devices that are signed in: seen, and signed out one by one or all together."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from pymongo.database import Database
from redis import Redis

from kernapay.devstack.servers import MongoServer
from tests.actors import USERS, Actor, People, assert_problem
from tests.clusters.proxy import Mode, Proxy
from tests.conftest import InProcess
from tests.sessions.conftest import Time, bearer, sign_in, sign_up
from tests.stack import Api

Store = Database[dict[str, Any]]


def devices(actor: Actor) -> list[dict[str, Any]]:
    answer = actor.call("GET", f"{USERS}/sessions")
    assert answer.status_code == 200, answer.text
    return answer.json()


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
    in_process: InProcess, time: Time, store: Store
) -> None:
    async with in_process(clock=time) as client:
        tokens = await sign_in(client, (await sign_up(client))["email"])

        async def last_used() -> datetime:
            for _ in range(2):  # the first is noted after it was answered
                answer = await client.get(f"{USERS}/sessions", headers=bearer(tokens))
                await client.app.state.services.background.drain()
            return datetime.fromisoformat(answer.json()[0]["lastUsedAt"])

        signed_in = await last_used()
        time.pass_by(minutes=59)
        assert await last_used() == signed_in
        time.pass_by(minutes=2)
        assert await last_used() == signed_in + timedelta(minutes=61)
        expired = {"userId": ObjectId(tokens["user"]["_id"])}
        past = {"$set": {"expiresAt": time() - timedelta(seconds=1)}}
        await asyncio.to_thread(store.sessions.update_one, expired, past)
        other = await sign_in(client, tokens["user"]["email"])
        answer = await client.get(f"{USERS}/sessions", headers=bearer(other))
        assert len(answer.json()) == 1, "what has expired is no device any more"


@pytest.mark.anyio
async def test_nobody_waits_for_a_lost_database_to_note_a_use(
    in_process: InProcess, time: Time, mongo_server: MongoServer, store: Store
) -> None:
    """What the cache knows is answered at once, for sessions and for API keys."""
    with Proxy(mongo_server.port) as line:
        # Directly: the replica set would tell the client its real address, past the proxy.
        through = f"mongodb://{line.address}/{store.name}?directConnection=true"
        async with in_process(clock=time, mongodb_url=through) as client:
            tokens = await sign_in(client, (await sign_up(client))["email"])
            where = {"_id": ObjectId(tokens["user"]["_id"])}
            appointed = {"$set": {"type": "ADMIN"}}
            await asyncio.to_thread(store.users.update_one, where, appointed)
            body = {"name": "Back end", "role": "USER"}
            made = await client.post("/v1/api/admin/api-keys", json=body, headers=bearer(tokens))
            assert made.status_code == 201, made.text
            key = {"Authorization": f"Bearer {made.json()['key']}"}

            async def profiles() -> None:
                async with asyncio.timeout(
                    1
                ):  # the driver looks for the database for three seconds
                    for headers in (bearer(tokens), key) * 3:
                        answer = await client.get(f"{USERS}/profile", headers=headers)
                        assert answer.status_code == 200, answer.text

            await profiles()
            services = client.app.state.services
            await services.background.drain()
            await profiles()
            line.set(Mode.CUT)
            time.pass_by(minutes=61)
            await profiles()
            await services.background.drain()
            await profiles()
            line.set(Mode.PASS)
            await services.background.drain()
