"""The lock of all processes, on a real mongod."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta

import pytest

from kernapay.core.errors import Unavailable
from kernapay.storage.locks import Lock, LockBusy, Turn, exclusive, hold
from kernapay.storage.mongo import Mongo
from tests.aliases import Store
from tests.waiting import eventually

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=300)
MakeLock = Callable[[timedelta], Lock]


@pytest.fixture
def make_lock(store: Store) -> MakeLock:
    store.locks.delete_many({"_id": "unit"})
    return lambda lasts: Lock(store, "unit", lasts)


def test_one_of_many_gets_the_lock(make_lock: MakeLock) -> None:
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: make_lock(LONG).take(), range(8)))
    assert len([until for until in taken if until is not None]) == 1


def test_its_holder_hears_until_when_it_holds(make_lock: MakeLock, store: Store) -> None:
    lock = make_lock(LONG)
    for hold_it in (lock.take, lock.extend):
        until = hold_it()
        (row,) = store.locks.find({"_id": "unit"})
        assert until is not None
        assert until == row["until"]
        server = store.client.admin.command("hello")["localTime"].replace(tzinfo=UTC)
        assert until - server > LONG / 2


def test_a_released_lock_is_free(make_lock: MakeLock) -> None:
    first, second = make_lock(LONG), make_lock(LONG)
    assert first.take()
    assert second.take() is None
    second.release()
    assert second.take() is None, "only its holder gives a lock back"
    first.release()
    assert second.take()


def test_the_lock_of_a_killed_holder_ends_by_the_servers_clock(make_lock: MakeLock) -> None:
    killed, waiting = make_lock(SHORT), make_lock(LONG)
    assert killed.take()
    eventually(waiting.take)
    assert killed.extend() is None, "whoever lost a lock hears so"


def test_a_held_lock_is_renewed_for_as_long_as_its_block_takes(make_lock: MakeLock) -> None:
    ended = threading.Event()
    other = make_lock(LONG)
    with hold(make_lock(timedelta(seconds=1)), patience=1, renew_every=0.1):
        assert not ended.wait(2)
        assert other.take() is None
    assert other.take()


def test_a_holder_that_has_lost_the_lock_neither_extends_it_nor_takes_it_from_the_next(
    make_lock: MakeLock, store: Store
) -> None:
    lost = make_lock(LONG)
    with hold(lost, patience=1, renew_every=0.05):
        # As after a long suspension, in which the lock ended and another process took it.
        store.locks.update_one({"_id": "unit"}, {"$set": {"owner": "another"}})
        assert lost.extend() is None
        until = store.locks.find_one({"_id": "unit"})
        assert not threading.Event().wait(0.3)
    assert store.locks.find_one({"_id": "unit"}) == until


def test_whoever_waits_too_long_for_a_lock_hears_so(make_lock: MakeLock) -> None:
    assert make_lock(LONG).take()
    with pytest.raises(LockBusy), hold(make_lock(LONG), patience=0.1, renew_every=10):
        raise AssertionError("it is held")


@pytest.mark.anyio
async def test_an_exclusive_block_ends_its_lock_and_says_who_waits_for_whom(
    mongo: Mongo, store: Store, make_lock: MakeLock
) -> None:
    async with exclusive(mongo, "unit", LONG, patience=5, busy="Somebody is at it.") as until:
        (row,) = await mongo.run(lambda: list(store.locks.find({"_id": "unit"})))
        assert until < row["until"]
        with pytest.raises(Unavailable, match="Somebody is at it"):
            async with exclusive(mongo, "unit", LONG, patience=0.1, busy="Somebody is at it."):
                raise AssertionError("it is held")
    async with exclusive(mongo, "unit", LONG, patience=0, busy="Somebody is at it."):
        """The lock was given back."""


@pytest.mark.anyio
async def test_a_turn_stays_with_one_process_while_it_works(
    mongo: Mongo, make_lock: MakeLock
) -> None:
    make_lock(SHORT)
    first, second = Turn(mongo, "unit", SHORT), Turn(mongo, "unit", SHORT)
    assert await first.is_ours()
    for _ in range(6):
        await asyncio.sleep(SHORT.total_seconds() / 4)
        assert await first.is_ours()
        assert not await second.is_ours()


@pytest.mark.anyio
async def test_a_turn_that_nobody_keeps_goes_to_another_process(
    mongo: Mongo, make_lock: MakeLock
) -> None:
    make_lock(SHORT)
    first, second = Turn(mongo, "unit", SHORT), Turn(mongo, "unit", LONG)
    assert await first.is_ours()
    await asyncio.sleep(2 * SHORT.total_seconds())
    assert await second.is_ours()
    assert not await first.is_ours()
