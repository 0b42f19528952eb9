"""One connection to Redis under all calls: each gets its own reply, whatever happens to the connection."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from kernapay.core.errors import Unavailable
from kernapay.storage.redis import Address, RedisStore
from kernapay.storage.redis_clients import connect
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode, Proxy
from tests.clusters.topologies import MASTER_NAME, RedisSentinel
from tests.waiting import until

pytestmark = pytest.mark.anyio
MOST_WAITING = 10_000


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNode]:
    server = RedisNode(tmp_path_factory.mktemp("redis"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def proxy(redis: RedisNode) -> Iterator[Proxy]:
    with Proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[RedisStore]:
    store = RedisStore(proxy.redis_url)
    assert await store.execute("ECHO", "first") == b"first"
    yield store
    await store.close()


async def begin(store: RedisStore, *command: str) -> "asyncio.Task[object]":
    """Let a call begin, and return it."""
    call = asyncio.create_task(store.execute(*command))
    for _ in range(3):
        await asyncio.sleep(0)
    return call


async def test_a_call_whose_connection_broke_is_made_once_more(
    store: RedisStore, proxy: Proxy
) -> None:
    proxy.set(Mode.HANG)
    call = await begin(store, "ECHO", "again")
    proxy.set(Mode.CUT)
    proxy.set(Mode.PASS)
    assert await call == b"again"


async def test_a_call_is_repeated_whole_if_it_had_some_of_its_replies(
    store: RedisStore, proxy: Proxy
) -> None:
    large = b"x" * 2_000_000
    await store.execute("HSET", "entry", "small", b"1", "large", large)
    proxy.set(Mode.LATENCY, 0.05)
    before = proxy.chunks
    both = asyncio.create_task(store.read([Address("entry", "small"), Address("entry", "large")]))
    # The request, and the beginning of the answer.
    await until(lambda: proxy.chunks >= before + 2)
    await asyncio.sleep(0)
    proxy.set(Mode.CUT)
    proxy.set(Mode.PASS)
    assert await both == [b"1", large]


async def test_a_call_whose_connection_breaks_each_time_fails(
    store: RedisStore, proxy: Proxy
) -> None:
    proxy.set(Mode.HANG)
    call = await begin(store, "ECHO", "lost")
    proxy.set(Mode.CUT)
    with pytest.raises(RedisConnectionError):
        await call
    proxy.set(Mode.PASS)
    assert await store.execute("ECHO", "next") == b"next"


async def test_a_reply_that_comes_too_late_reaches_nobody(store: RedisStore, proxy: Proxy) -> None:
    proxy.set(Mode.HANG)
    first, second = await begin(store, "ECHO", "late"), await begin(store, "ECHO", "later")
    for call in (first, second):
        with pytest.raises(TimeoutError):
            await call
    proxy.set(Mode.PASS)
    assert await store.execute("ECHO", "own") == b"own"


async def test_each_caller_gets_its_own_reply_while_others_leave_and_connections_break(
    store: RedisStore, proxy: Proxy
) -> None:
    chance = random.Random(1)
    answers = {}

    async def ask(number: int) -> None:
        await asyncio.sleep(0)
        answers[number] = await store.execute("ECHO", f"{number}:{'x' * chance.randint(0, 3000)}")

    for start in range(0, 2000, 100):
        calls = [asyncio.create_task(ask(number)) for number in range(start, start + 100)]
        await begin(store, "PING")
        for call in chance.sample(calls, 20):
            call.cancel()
        if chance.random() < 0.3:
            proxy.set(Mode.CUT)
            proxy.set(Mode.PASS)
        await asyncio.gather(*calls, return_exceptions=True)
    assert len(answers) >= 1600
    for number, answer in answers.items():
        assert answer.startswith(f"{number}:".encode())


async def test_a_command_that_redis_refuses_fails_alone(store: RedisStore) -> None:
    results = await asyncio.gather(
        store.execute("ECHO", "a"),
        store.execute("NOSUCHCOMMAND"),
        store.execute("ECHO", "b"),
        return_exceptions=True,
    )
    assert [results[0], results[2]] == [b"a", b"b"]
    assert isinstance(results[1], ResponseError)


async def test_a_connection_that_speaks_unasked_is_not_used_again(
    store: RedisStore, redis: RedisNode
) -> None:
    await store.execute("CLIENT", "SETNAME", "talker")
    await store.execute("MONITOR")
    with redis.client() as client:
        for _ in range(200):
            if not [each for each in client.client_list() if each["name"] == "talker"]:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the connection is still open")
    assert await store.execute("ECHO", "own") == b"own"


async def test_news_from_the_server_are_no_replies(store: RedisStore, redis: RedisNode) -> None:
    await store.execute("CLIENT", "TRACKING", "ON")
    await store.execute("GET", "watched")
    with redis.client() as client:
        client.set("watched", "1")
    # By now the server has said that the key was changed.
    assert await store.execute("ECHO", "own") == b"own"
    assert await store.execute("CLIENT", "TRACKING", "OFF") == b"OK"


async def test_a_server_that_became_a_replica_is_left(store: RedisStore, redis: RedisNode) -> None:
    with redis.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(RedisConnectionError):
                await store.execute("SET", "a", "1")
        finally:
            client.replicaof("NO", "ONE")
    assert await store.execute("SET", "a", "1") == b"OK"


async def test_no_more_calls_wait_than_fit_into_memory(store: RedisStore, proxy: Proxy) -> None:
    proxy.set(Mode.HANG)
    waiting = [store.publish("nobody", "1") for _ in range(MOST_WAITING)]
    with pytest.raises(Unavailable):
        await store.execute("PING")
    proxy.set(Mode.PASS)
    assert await waiting[-1] == [0]
    assert await store.execute("ECHO", "own") == b"own"


async def test_closing_cancels_the_calls_that_wait(proxy: Proxy) -> None:
    store = RedisStore(proxy.redis_url)
    await store.execute("PING")
    proxy.set(Mode.HANG)
    call = await begin(store, "PING")
    await store.close()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_call_that_comes_after_closing_is_answered(proxy: Proxy) -> None:
    store = RedisStore(proxy.redis_url)
    early = store.publish("nobody", "1")
    # The connection is about to be opened.
    await asyncio.sleep(0)
    await store.close()
    assert early.cancelled()
    async with asyncio.timeout(5):
        with pytest.raises(RedisConnectionError):
            await store.execute("PING")


async def test_a_silent_sentinel_keeps_nobody_from_the_master(sentinel: RedisSentinel) -> None:
    first, *_ = sentinel.sentinels
    with Proxy(first.port) as proxy:
        proxy.set(Mode.HANG)
        store = RedisStore(sentinel.url.replace(first.address, proxy.address))
        # For all its time, this call waits for that one.
        with pytest.raises(TimeoutError):
            await store.execute("PING")
        assert await store.execute("ECHO", "own") == b"own"
        await store.close()
        proxy.set(Mode.PASS)


async def test_no_sentinel_is_forgotten_when_several_connections_begin_at_once(
    sentinel: RedisSentinel,
) -> None:
    one, two, _ = sentinel.sentinels
    with Proxy(one.port) as first, Proxy(two.port) as second:
        client: Any = connect(f"redis+sentinel://{first.address},{second.address}/{MASTER_NAME}")
        first.set(Mode.CUT)
        await asyncio.gather(*(client.ping() for _ in range(3)))
        await client.connection_pool.disconnect(inuse_connections=False)
        first.set(Mode.PASS)
        second.set(Mode.CUT)
        assert await client.ping()
        await client.aclose()
