"""What a request for stored values costs Redis: one round trip."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import REGISTRY

from kernapay.core.metrics import publish_tallies
from tests.actors import PAYMENTS, USERS, Actor, People
from tests.aliases import Store
from tests.factories import payment_body, unique
from tests.in_process import InProcess, InProcessClient
from tests.stack import bearer

pytestmark = [pytest.mark.anyio, pytest.mark.long]


@pytest.fixture
async def client(in_process: InProcess) -> AsyncIterator[InProcessClient]:
    async with in_process() as client:
        yield client


def calls() -> float:
    """How often Redis was called."""
    publish_tallies()
    return REGISTRY.get_sample_value("kernapay_batched_requests_total", {"batch": "redis"}) or 0.0


async def calls_of(client: InProcessClient, who: Actor, path: str) -> float:
    """Return how often an answer from the cache calls Redis."""
    headers = bearer(who.token)
    first = await client.get(path, headers=headers)
    before = calls()
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.content) == (200, first.content)
    return calls() - before


@pytest.mark.parametrize("query", ["", "?count=10", "?skip=2", "?count=3&skip=1"])
async def test_a_cached_page_is_read_with_the_session(
    client: InProcessClient, user: Actor, query: str
) -> None:
    for _ in range(3):
        await asyncio.to_thread(user.new_payment)
    assert await calls_of(client, user, f"{PAYMENTS}/history/{user.id}{query}") == 1


async def test_the_profile_is_read_with_the_session(client: InProcessClient, user: Actor) -> None:
    assert await calls_of(client, user, f"{USERS}/profile") == 1


@pytest.mark.parametrize("query", ["?count=ten", "?count=-1", "?skip=lease", "?count=10&count=3"])
async def test_a_bad_query_is_refused_as_before(
    client: InProcessClient, user: Actor, query: str
) -> None:
    path = f"{PAYMENTS}/history/{user.id}{query}"
    answer = await client.get(path, headers=bearer(user.token))
    assert answer.status_code == 400


async def test_a_page_that_is_read_with_a_session_is_not_shown_to_others(
    client: InProcessClient, user: Actor, people: People
) -> None:
    path = f"{PAYMENTS}/history/{user.id}"
    assert (await client.get(path, headers=bearer(user.token))).status_code == 200
    other = await asyncio.to_thread(people.new)
    answer = await client.get(path, headers=bearer(other.token))
    assert answer.status_code == 403


async def test_several_windows_of_a_limit_are_counted_in_one_call(in_process: InProcess) -> None:
    async with in_process(rate_limits="on", rate_limit_create="3/minute;5/hour;9/day") as client:
        before = calls()
        verdict = await client.services.rate_limiter.hit("create", "somebody")
        assert verdict is not None
        assert (verdict.limit, verdict.remaining) == (3, 2)
        assert calls() - before <= 2, "once more only where Redis does not know the script yet"
        before = calls()
        await client.services.rate_limiter.hit("create", "somebody")
        assert calls() - before == 1


def lookups() -> float:
    """How often MongoDB was asked for rows."""
    publish_tallies()
    return REGISTRY.get_sample_value("kernapay_batched_requests_total", {"batch": "lookups"}) or 0.0


async def test_a_call_that_was_just_made_is_answered_again_without_the_database(
    client: InProcessClient, user: Actor
) -> None:
    async def create(**changes: object) -> httpx.Response:
        body = payment_body(idempotencyKey=key, **changes)
        return await client.post(f"{PAYMENTS}/create", json=body, headers=bearer(user.token))

    key = unique("key-")
    first = await create()
    assert first.status_code == 201
    before = lookups()
    again = await create()
    assert (again.status_code, again.json()) == (200, first.json())
    assert lookups() == before
    other = await create(amount=70_000)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


async def test_a_process_remembers_only_the_payments_that_it_created(
    client: InProcessClient, user: Actor, store: Store
) -> None:
    """The one that created it may have died before it evicted the history. A repeat that asks MongoDB does so."""
    body = payment_body()
    first = user.create(body).json()["data"]
    # As if that process had died before it stored the order: another one finishes its work.
    left = {"razorpayOrderId": None, "orderId": None, "orderLeaseUntil": None}
    this = {"referenceId": first["referenceId"]}
    await asyncio.to_thread(store.payments.update_one, this, {"$set": left})
    headers = bearer(user.token)
    finished = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
    assert (finished.status_code, finished.json()["data"]) == (200, first)
    before = lookups()
    again = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
    assert (again.status_code, again.json()["data"]) == (200, first)
    assert lookups() > before
