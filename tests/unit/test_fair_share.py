"""The share of a scarce resource: who has much to do waits, and nobody waits for them."""

import asyncio
from collections import Counter

import pytest

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import TooManyRequests
from kernapay.core.fair_share import FairShare
from kernapay.security.passwords import PasswordHasher

pytestmark = pytest.mark.anyio


async def test_subjects_take_turns_and_each_keeps_its_own_order() -> None:
    share = FairShare(per_subject=1, in_flight=10, total=1)
    done: list[str] = []

    async def work(subject: str, number: int) -> None:
        async with share.turn(subject):
            done.append(f"{subject}{number}")
            await asyncio.sleep(0)

    await asyncio.gather(
        *(work("a", n) for n in range(4)), *(work("b", n) for n in range(2)), work("c", 0)
    )
    assert done == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]


async def test_a_subject_runs_no_more_than_its_part_and_waits_no_longer_than_allowed() -> None:
    share = FairShare(per_subject=2, in_flight=5)
    gate = asyncio.Event()
    running: Counter[str] = Counter()

    async def work(subject: str) -> None:
        async with share.turn(subject):
            running[subject] += 1
            await gate.wait()

    busy = [asyncio.create_task(work("busy")) for _ in range(8)]
    other = asyncio.create_task(work("other"))
    done, _ = await asyncio.wait(busy, timeout=0.05)
    assert running == {"busy": 2, "other": 1}
    assert len(done) == 3
    for task in done:
        with pytest.raises(TooManyRequests) as refusal:
            await task
        assert refusal.value.retry_after == 1
    gate.set()
    await asyncio.gather(other, *(task for task in busy if task not in done))
    assert running == {"busy": 5, "other": 1}
    async with share.turn("busy"):  # all are free again
        pass


async def test_the_parts_of_a_subject_are_counted_by_themselves_and_share_its_turns() -> None:
    share = FairShare(per_subject=2, in_flight=3)
    gate = asyncio.Event()
    running: Counter[str] = Counter()

    async def work(part: str | None) -> None:
        async with share.turn("shop", part):
            running["shop"] += 1
            await gate.wait()

    tasks = [asyncio.create_task(work(part)) for part in ("a", "a", "a", "b", "b", None)]
    await asyncio.sleep(0)
    for part in ("a", "a"):
        with pytest.raises(TooManyRequests):
            await work(part)
    assert running == {"shop": 2}
    gate.set()
    await asyncio.gather(*tasks, work("b"))
    assert running == {"shop": 7}
    async with share.turn("shop", "a"):  # all are free again
        pass


async def test_nobody_waits_longer_than_the_patience_lasts() -> None:
    share = FairShare(per_subject=1, in_flight=3, patience=0.02)
    async with share.turn("busy"):
        assert not share.has_room("busy")
        with pytest.raises(TooManyRequests) as refusal:
            async with share.turn("busy"):
                pytest.fail("two turns at once")
        assert refusal.value.retry_after == 1
        async with share.turn("other"):
            assert not share.has_room("other")
    assert share.has_room("busy")
    async with share.turn("busy"):  # who gave up left nothing behind
        pass


async def test_who_leaves_gives_the_turn_back() -> None:
    share = FairShare(per_subject=1, in_flight=3, total=1)
    gate = asyncio.Event()

    async def work(subject: str) -> None:
        async with share.turn(subject):
            await gate.wait()

    first, second, third = (asyncio.create_task(work(name)) for name in "abc")
    await asyncio.sleep(0)
    second.cancel()  # while it waits
    first.cancel()  # while it runs; the third gets the turn
    await asyncio.wait([first, second])
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.wait([third])
    gate.set()
    async with asyncio.timeout(5):
        await work("d")


async def test_a_turn_that_comes_with_the_cancellation_is_not_lost() -> None:
    share = FairShare(per_subject=1, in_flight=3, total=1)
    async with share.turn("a"):
        waiting = asyncio.create_task(share.turn("b").__aenter__())
        await asyncio.sleep(0)
    waiting.cancel()  # admitted already, but it has not run since
    await asyncio.wait([waiting])
    async with asyncio.timeout(5), share.turn("c"):
        pass


async def test_hundreds_of_passwords_of_one_client_hold_up_nobody_else() -> None:
    """Right or wrong: the other client waits for those being hashed, not for those that wait."""
    # One thread: with two, one of them could finish many of the others while the second one is held up.
    pool = Bulkhead("hashing", 1)
    passwords = PasswordHasher(5, pool)
    password_hash = await passwords.hash("right")
    done: list[str] = []

    async def verify(client: str, password: str) -> None:
        await passwords.verify(password, password_hash, client)
        done.append(client)

    words = ["right", "wrong"] * 30
    busy = [asyncio.create_task(verify("busy", word)) for word in words]
    await asyncio.sleep(0)
    await verify("other", "right")
    assert done.index("other") <= 2
    await asyncio.gather(*busy)
    refused = await asyncio.gather(
        *(verify("busy", "wrong") for _ in range(80)), return_exceptions=True
    )
    assert sum(isinstance(each, TooManyRequests) for each in refused) == 80 - 64
    pool.close()
