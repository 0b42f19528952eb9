"""Two calls with one stale row: the second must not act. `stale_updates` has the list, a house test keeps it whole."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from kernapay.storage.mongo import Mongo
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.unit.conftest import OpenCache
from tests.unit.stale_updates import CASES, Steps, World

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("empty_redis")]
COLLECTIONS = (
    "payments",
    "users",
    "api_keys",
    "sessions",
    "second_factors",
    "codes",
    "webhook_events",
    "reconciliation_reports",
    "reconciliation_findings",
    "settlements",
    "settlement_days",
    "customers",
    "endpoints",
    "papers",
    "deliveries",
    "locks",
)
PREPARES = sorted(
    {prepare for cases in CASES.values() for prepare in cases}, key=lambda each: each.__name__
)


def rows(store: Store) -> dict[str, list[Json]]:
    return {name: list(store[name].find().sort("_id")) for name in COLLECTIONS}


@pytest.mark.parametrize("prepare", PREPARES, ids=lambda prepare: prepare.__name__)
async def test_a_call_with_a_stale_row_acts_at_most_once(
    prepare: Callable[[World], Awaitable[Steps]],
    mongo: Mongo,
    store: Store,
    open_cache: OpenCache,
) -> None:
    for name in COLLECTIONS:
        await asyncio.to_thread(store[name].delete_many, {})
    clock = FrozenClock(datetime(2026, 1, 31, 12, tzinfo=UTC))
    async with open_cache() as cache:
        for number, (call, acts) in enumerate(await prepare(World(mongo, cache, clock))):
            # What a second call writes shows: its times are later.
            clock.advance(seconds=1)
            before = await asyncio.to_thread(rows, store)
            await call()
            after = await asyncio.to_thread(rows, store)
            assert (before != after) is acts, f"call {number}"
