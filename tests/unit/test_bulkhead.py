"""Bounded pools of threads: a slow one does not hold up the others."""

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from time import monotonic

import pytest

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import Unavailable
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds up the threads of a test until it is set; set at the end in any case."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def pool(gate: threading.Event) -> Iterator[Bulkhead]:
    pool = Bulkhead("test", threads=2, queue=3)
    yield pool
    gate.set()
    pool.close()


async def test_a_call_runs_in_a_thread_of_the_pool(pool: Bulkhead) -> None:
    thread = await pool.run(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.name.startswith("kernapay-test")


async def test_arguments_go_in_and_results_and_errors_come_out(pool: Bulkhead) -> None:
    assert await pool.run(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)
    await until(lambda: pool.pending == 0)


async def test_no_more_calls_run_than_there_are_threads(
    pool: Bulkhead, gate: threading.Event
) -> None:
    running: list[int] = []

    def work() -> None:
        running.append(1)
        gate.wait()

    calls = [asyncio.create_task(pool.run(work)) for _ in range(5)]
    await until(lambda: len(running) == 2)
    assert pool.pending == 5
    await asyncio.sleep(0.05)
    assert len(running) == 2
    gate.set()
    await asyncio.gather(*calls)
    assert len(running) == 5
    await until(lambda: pool.pending == 0)


async def test_a_full_pool_refuses_at_once_and_says_when_to_come_back(
    pool: Bulkhead, gate: threading.Event
) -> None:
    calls = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
    await until(lambda: pool.pending == 5)
    start = monotonic()
    with pytest.raises(Unavailable) as caught:
        await pool.run(gate.wait)
    assert monotonic() - start < 0.5
    assert caught.value.retry_after == 1
    gate.set()
    await asyncio.gather(*calls)
    assert await pool.run(int, "1") == 1


async def test_a_full_pool_does_not_hold_up_another(pool: Bulkhead, gate: threading.Event) -> None:
    calls = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
    await until(lambda: pool.pending == 5)
    other = Bulkhead("other", threads=1)
    try:
        async with asyncio.timeout(2):
            assert await other.run(int, "1") == 1
    finally:
        other.close()
    gate.set()
    await asyncio.gather(*calls)


async def test_a_caller_that_gives_up_frees_no_thread(
    pool: Bulkhead, gate: threading.Event
) -> None:
    """The thread is still busy: counting it as free would let a queue grow behind it."""
    started = threading.Event()

    def work() -> None:
        started.set()
        gate.wait()

    call = asyncio.create_task(pool.run(work))
    await until(started.is_set)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert pool.pending == 1
    gate.set()
    await until(lambda: pool.pending == 0)


async def test_a_call_waiting_in_the_queue_can_be_given_up(
    pool: Bulkhead, gate: threading.Event
) -> None:
    busy = [asyncio.create_task(pool.run(gate.wait)) for _ in range(2)]
    await until(lambda: pool.pending == 2)
    ran: list[int] = []
    waiting = asyncio.create_task(pool.run(ran.append, 1))
    await until(lambda: pool.pending == 3)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: pool.pending == 2)
    gate.set()
    await asyncio.gather(*busy)
    assert ran == []


async def test_the_thread_knows_the_request_it_works_for(pool: Bulkhead) -> None:
    request: ContextVar[str] = ContextVar("request")
    request.set("mine")
    assert await pool.run(request.get) == "mine"


async def test_closing_waits_for_what_runs(gate: threading.Event) -> None:
    pool = Bulkhead("closing", threads=1)
    done: list[int] = []

    def work() -> None:
        gate.wait()
        done.append(1)

    call = asyncio.create_task(pool.run(work))
    await until(lambda: pool.pending == 1)
    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    await asyncio.sleep(0.05)
    assert not closing.done()
    gate.set()
    await closing
    assert done == [1]
    await call
