"""Requests of one turn of the event loop travel together."""

import asyncio
from collections.abc import Sequence

import pytest

from kernapay.core.errors import Unavailable
from kernapay.storage.batching import Batcher

pytestmark = pytest.mark.anyio


class Server:
    """Doubles numbers; it can be made to wait or to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.called = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, requests: Sequence[int]) -> list[int]:
        self.batches.append(list(requests))
        self.called.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [2 * number for number in requests]


async def test_requests_of_one_turn_make_one_batch() -> None:
    server = Server()
    batcher = Batcher(server)
    replies = await asyncio.gather(*(batcher.request(number) for number in range(5)))
    assert replies == [0, 2, 4, 6, 8]
    assert server.batches == [[0, 1, 2, 3, 4]]
    assert await batcher.request(7) == 14


async def test_requests_made_during_a_batch_make_the_next_one() -> None:
    server = Server()
    batcher = Batcher(server)
    server.gate.clear()
    first = batcher.request(1)
    await server.called.wait()
    others = [batcher.request(number) for number in (2, 3)]
    await asyncio.sleep(0)
    assert server.batches == [[1]]
    server.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert server.batches == [[1], [2, 3]]


async def test_after_a_batch_of_several_the_next_one_waits_for_more() -> None:
    server = Server()
    batcher = Batcher(server, pause=0.05)
    alone = await batcher.request(1)
    several = sum(await asyncio.gather(batcher.request(2), batcher.request(3)))
    first = batcher.request(4)
    for _ in range(10):  # turns of the event loop, in which a batch without a pause is sent
        await asyncio.sleep(0)
    assert sum(await asyncio.gather(first, batcher.request(5))) == 18
    assert (alone, several) == (2, 10)
    assert server.batches == [[1], [2, 3], [4, 5]]


async def test_a_failure_is_everybodys_and_the_next_batch_goes_out() -> None:
    server = Server()
    batcher = Batcher(server)
    server.error = ConnectionError("gone")
    failed = await asyncio.gather(*(batcher.request(n) for n in (1, 2)), return_exceptions=True)
    assert [type(error) for error in failed] == [ConnectionError, ConnectionError]
    server.error = None
    assert await batcher.request(3) == 6


async def test_an_error_among_the_replies_is_its_own_callers() -> None:
    async def send(requests: Sequence[int]) -> list[int | Exception]:
        return [ValueError(number) if number % 2 else number for number in requests]

    batcher = Batcher(send)
    replies = await asyncio.gather(*map(batcher.request, range(4)), return_exceptions=True)
    assert [type(reply) for reply in replies] == [int, ValueError, int, ValueError]


async def test_a_batch_has_a_bound_and_so_has_the_queue() -> None:
    server = Server()
    batcher = Batcher(server)
    waiting = [batcher.request(number) for number in range(10_000)]
    with pytest.raises(Unavailable):
        batcher.request(1)
    assert await asyncio.gather(*waiting) == [2 * number for number in range(10_000)]
    assert max(map(len, server.batches)) == 500


async def test_a_caller_that_leaves_takes_nobody_along() -> None:
    server = Server()
    batcher = Batcher(server)
    server.gate.clear()
    leaving, staying = batcher.request(1), batcher.request(2)
    await server.called.wait()
    leaving.cancel()
    server.gate.set()
    assert await staying == 4


async def test_closing_cancels_what_waits() -> None:
    server = Server()
    batcher = Batcher(server)
    server.gate.clear()
    sent = batcher.request(1)
    await server.called.wait()
    waiting = batcher.request(2)
    await batcher.close()
    assert sent.cancelled()
    assert waiting.cancelled()
