"""A machine whose clock is wrong does no work: leases would not hold between it and the others."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, repeat
from typing import ParamSpec, TypeVar

import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.core.errors import NotMigrated, Unavailable
from kernapay.storage.mongo import Mongo
from kernapay.storage.schema_watch import SchemaWatch
from tests.environment import settings_from
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("store")]
LIMIT = timedelta(seconds=10)
P = ParamSpec("P")
R = TypeVar("R")
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_off_by_minutes_is_refused(mongo: Mongo, minutes: int) -> None:
    watch = SchemaWatch(mongo, LIMIT, lambda: now() + timedelta(minutes=minutes))
    assert "differs from MongoDB's by 600 s" in str(await watch.check())
    assert not watch.is_ready, "a worker waits"
    with pytest.raises(Unavailable):
        watch.require()
    with pytest.raises(NotMigrated, match="NTP"):
        await watch.check_before_start()


@pytest.mark.parametrize("seconds", [-9, 0, 9])
async def test_a_clock_within_the_limit_is_accepted(mongo: Mongo, seconds: int) -> None:
    watch = SchemaWatch(mongo, LIMIT, lambda: now() + timedelta(seconds=seconds))
    assert await watch.check() is None
    assert watch.is_ready


async def test_a_slow_answer_is_no_difference(mongo: Mongo) -> None:
    """MongoDB read its clock at some moment while we waited."""
    readings = chain((now(), now(), now() - timedelta(minutes=5)), repeat(now() + 5 * MINUTE))
    watch = SchemaWatch(mongo, LIMIT, lambda: next(readings))
    assert await watch.check() is None


async def test_work_goes_on_when_the_clock_is_right_again(mongo: Mongo) -> None:
    off = timedelta(minutes=10)
    watch = SchemaWatch(mongo, LIMIT, lambda: now() - off)
    assert await watch.check() is not None
    off = timedelta(0)
    for _ in range(200):
        if await watch.check() is None:
            break
        await asyncio.sleep(0.05)
    watch.require()


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_nothing_runs_between_two_comparisons_once_the_clock_was_moved(
    mongo: Mongo, minutes: int
) -> None:
    off = timedelta(0)
    watch = SchemaWatch(mongo, LIMIT, lambda: now() + off)
    assert await watch.check() is None
    assert watch.is_ready
    off = timedelta(minutes=minutes)
    assert not watch.is_ready, "a worker waits"
    with pytest.raises(Unavailable, match="clock"):
        watch.require()
    off = timedelta(seconds=9)
    assert watch.is_ready
    watch.require()


class SlowMongo(Mongo):
    """Answers when it is let."""

    def __init__(self, url: str) -> None:
        super().__init__(url, threads=2)
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().run(call, *args, **kwargs)


async def test_nothing_runs_while_a_clock_that_was_moved_is_compared(mongo_url: str) -> None:
    mongo, off = SlowMongo(mongo_url), timedelta(0)
    mongo.connect()
    try:
        watch = SchemaWatch(mongo, LIMIT, lambda: now() + off)
        mongo.may_answer.set()
        assert await watch.check() is None
        mongo.may_answer.clear()
        mongo.is_asked.clear()
        off = 10 * MINUTE
        comparison = asyncio.create_task(until(watch.check))
        await mongo.is_asked.wait()
        assert not watch.is_ready
        mongo.may_answer.set()
        await comparison
        assert not watch.is_ready
    finally:
        mongo.close()


@pytest.mark.parametrize(("gateway", "limit"), [("2s", 2), ("10s", 10), ("30s", 10)])
async def test_two_clocks_at_the_limit_leave_a_lease_the_length_of_a_call(
    api_env: dict[str, str], gateway: str, limit: int
) -> None:
    services = Services(settings_from(api_env, razorpay_timeout=gateway))
    lease = services.ordering.lease
    call = services.settings.razorpay_timeout
    assert services.schema_watch.max_skew == timedelta(seconds=limit)
    assert lease - 2 * services.schema_watch.max_skew >= call
    assert services.refund_service.lease == lease == 3 * call
