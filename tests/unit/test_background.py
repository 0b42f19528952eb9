"""Work beside the requests, and several calls at once."""

import asyncio
from functools import partial

import pytest

from kernapay.core.background import Background, gather_all

pytestmark = pytest.mark.anyio


async def test_of_each_name_one_is_done_at_a_time_and_draining_waits_for_all() -> None:
    background, go, done = Background(), asyncio.Event(), list[str]()

    async def work(name: str) -> None:
        await go.wait()
        done.append(name)

    for name in ("a", "b", "a"):
        background.start(name, partial(work, name))
    draining = asyncio.create_task(background.drain())
    await asyncio.sleep(0)
    assert done == []
    go.set()
    await draining
    assert sorted(done) == ["a", "b"]
    background.start("a", lambda: work("a"))
    await background.drain()
    assert sorted(done) == ["a", "a", "b"]


async def test_all_calls_come_to_their_end_before_the_first_error_is_raised() -> None:
    failed, ended = asyncio.Event(), list[int]()

    async def fail(number: int) -> None:
        failed.set()
        raise ValueError(number)

    async def end(number: int) -> None:
        await failed.wait()
        for _ in range(9):
            await asyncio.sleep(0)
        ended.append(number)

    with pytest.raises(ValueError, match="2"):
        await gather_all([end(1), fail(2), end(3), fail(4)])
    assert sorted(ended) == [1, 3]
