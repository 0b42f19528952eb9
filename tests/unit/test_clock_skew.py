"""A machine whose clock is wrong does no work: leases would not hold between it and the others."""

import asyncio
from datetime import timedelta
from itertools import chain, repeat

import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.core.errors import NotMigrated, Unavailable
from kernapay.storage.mongo import Mongo
from kernapay.storage.schema_watch import SchemaWatch
from tests.environment import settings_from

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("store")]
LIMIT = timedelta(seconds=10)
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
