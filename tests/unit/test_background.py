"""Work beside the requests."""

import asyncio
from functools import partial

import pytest

from kernapay.core.background import Background

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
