"""At the console, what moves much money, gives power or shows a secret asks once more who it is."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from litestar import Litestar

from kernapay.security.guards import HasFreshProof
from tests.actors import (
    ADMIN_USERS,
    API_KEYS,
    CONSOLE_SESSION,
    ENDPOINTS,
    PAYMENTS,
    Actor,
    assert_problem,
)
from tests.aliases import Json
from tests.clocks import FrozenClock
from tests.console.desk import cookie_of, sent_with, totp
from tests.factories import unique
from tests.house.routes import routes
from tests.in_process import InProcess, InProcessClient
from tests.stack import Sandbox, bearer

pytestmark = pytest.mark.owasp(line="API2")
PROOF = f"{CONSOLE_SESSION}/proof"
FACTOR = "/v1/api/users/second-factor"
DEMANDING = {
    "POST /v1/api/admin/api-keys",
    "POST /v1/api/admin/api-keys/{key_id}/adopt",
    "POST /v1/api/admin/users",
    "POST /v1/api/admin/users/{user_id}/activate",
    "POST /v1/api/admin/users/{user_id}/approve",
    "POST /v1/api/admin/users/{user_id}/deactivate",
    "POST /v1/api/admin/users/{user_id}/erase",
    "POST /v1/api/admin/users/{user_id}/revoke-approval",
    "PUT /v1/api/admin/users/{user_id}/role",
    "POST /v1/api/endpoints",
    "PUT /v1/api/endpoints/{endpoint_id}",
    "DELETE /v1/api/endpoints/{endpoint_id}",
    "POST /v1/api/endpoints/{endpoint_id}/rotate",
    "DELETE /v1/api/customers/{customer_id}",
}
Post = Callable[[str, Json], Awaitable[httpx.Response]]


async def open_session(client: InProcessClient, actor: Actor, **more: str) -> Post:
    """Sign in to the console; return what posts as its page does."""
    credentials = {"email": actor.email, "password": actor.password, **more}
    options = sent_with(cookie_of(await client.post(CONSOLE_SESSION, json=credentials)))

    async def post(path: str, body: Json) -> httpx.Response:
        return await client.post(path, json=body, **options)

    return post


def test_every_route_that_gives_power_or_shows_a_secret_demands_a_proof(
    application: Litestar,
) -> None:
    demanding = {
        found.name
        for found in routes(application)
        if any(isinstance(guard, HasFreshProof) for guard in found.handler.resolve_guards())
    }
    assert demanding == DEMANDING


@pytest.mark.anyio
async def test_a_proof_opens_what_an_old_sign_in_does_not_for_its_own_session(
    in_process: InProcess, admin: Actor
) -> None:
    clock = FrozenClock()
    key = {"name": unique("Back end "), "role": "USER"}
    async with in_process(clock=clock) as client:
        post, other = await open_session(client, admin), await open_session(client, admin)
        assert (await post(API_KEYS, key)).status_code == 201
        clock.advance(minutes=10)
        assert_problem(await post(API_KEYS, key), 403, code="proof_required")
        assert_problem(await post(ENDPOINTS, {"url": "https://8.8.8.8/"}), 403)
        assert_problem(await post(f"{ADMIN_USERS}/{admin.id}/deactivate", {}), 403)
        listed = await client.get(API_KEYS, headers=bearer(admin.token))
        assert [each["name"] for each in listed.json()["keys"]].count(key["name"]) == 1
        # A program with a token is no unlocked screen.
        sent: dict[str, Any] = {"json": key, "headers": bearer(admin.token)}
        assert (await client.post(API_KEYS, **sent)).status_code == 201
        wrong = await post(PROOF, {"currentPassword": "wrong zebra battery"})
        assert_problem(wrong, 400, field="currentPassword")
        assert_problem(await post(API_KEYS, key), 403, code="proof_required")
        right = await post(PROOF, {"currentPassword": admin.password})
        until = f"{clock.now + timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}"
        assert (right.status_code, right.json()) == (200, {"provenUntil": until})
        assert (await post(API_KEYS, key)).status_code == 201
        assert_problem(await other(API_KEYS, key), 403, code="proof_required")
        sessions = client.services.session_repository
        (own, *_) = await sessions.list(user_id=ObjectId(admin.id))
        assert await sessions.prove(str(ObjectId()), own.pk) is None, "of somebody else"
        clock.advance(minutes=10)
        assert_problem(await post(API_KEYS, key), 403, code="proof_required")


@pytest.mark.anyio
async def test_who_has_a_second_factor_proves_with_it(in_process: InProcess, admin: Actor) -> None:
    clock = FrozenClock()
    async with in_process(clock=clock) as client:
        post = await open_session(client, admin)
        password = {"currentPassword": admin.password}
        begun = (await post(FACTOR, password)).json()
        code = totp(begun["secret"], clock.now)
        confirmed = await post(f"{FACTOR}/confirm", {"challenge": begun["challenge"], "code": code})
        assert confirmed.status_code == 201, confirmed.text
        clock.advance(minutes=10)
        assert_problem(await post(PROOF, password), 401, code="second_factor_required")
        wrong = {**password, "code": "000000"}
        assert_problem(await post(PROOF, wrong), 401, code="wrong_second_factor")
        right = {**password, "code": totp(begun["secret"], clock.now)}
        assert (await post(PROOF, right)).status_code == 200
        # Whoever looked over a shoulder cannot prove anything with it.
        assert_problem(await post(PROOF, right), 401, code="wrong_second_factor")
        assert (await post(API_KEYS, {"name": "Till", "role": "USER"})).status_code == 201


@pytest.mark.anyio
async def test_refunds_of_a_payment_that_exceed_the_limit_together_need_a_proof(
    in_process: InProcess, admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox)
    clock = FrozenClock()
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    first = {"amount": 10_000, "idempotencyKey": unique("refund-")}
    second = {"amount": 10_000, "idempotencyKey": unique("refund-")}
    async with in_process(clock=clock, console_refund_limit=19_999) as client:
        post = await open_session(client, admin)
        clock.advance(minutes=10)
        assert (await post(path, first)).status_code == 201
        assert_problem(await post(path, second), 403, code="proof_required")
        assert len(user.seen(payment["referenceId"])["refunds"]) == 1
        # What was accepted before is no new refund.
        assert (await post(path, first)).status_code == 200
        assert (await post(PROOF, {"currentPassword": admin.password})).status_code == 200
        assert [(await post(path, second)).status_code for _ in range(2)] == [201, 200]
        assert len(user.seen(payment["referenceId"])["refunds"]) == 2
