"""Signals reach every process, over one server, Sentinel and Cluster, and whoever may have missed one learns so."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernapay.storage.redis import RedisStore
from kernapay.storage.signals import Signals
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode, Proxy
from tests.clusters.topologies import RedisCluster, RedisSentinel
from tests.waiting import until

pytestmark = pytest.mark.anyio
CHANNEL = "tests:signals"


class Ear:
    """What a process heard, and how often it doubted."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.doubts = 0

    def hear(self, name: str) -> None:
        self.heard.append(name)

    def doubt(self) -> None:
        self.doubts += 1


class Process:
    """The signals of one process."""

    def __init__(self, url: str) -> None:
        self.is_up = True
        self.redis = RedisStore(url)
        self.signals = Signals(self.redis, CHANNEL, lambda: self.is_up)
        self.ear = Ear()

    async def listen(self) -> None:
        self.signals.listen(self.ear)
        await until(lambda: self.signals.is_connected)


@asynccontextmanager
async def processes(*urls: str) -> AsyncIterator[list[Process]]:
    opened = [Process(url) for url in urls]
    try:
        yield opened
    finally:
        for each in opened:
            await each.signals.close()
            await each.redis.close()


async def assert_heard(sender: Process, *hearers: Process) -> None:
    """Assert that a signal arrives, if need be after some that are lost while connections are renewed."""

    async def arrives() -> bool:
        sender.signals.signal("again")
        await asyncio.sleep(0.1)
        return all("again" in each.ear.heard for each in hearers)

    for each in hearers:
        each.ear.heard.clear()
    await until(arrives)


async def assert_all_hear(url: str) -> None:
    async with processes(url, url, url) as (first, second, silent):
        await first.listen()
        await second.listen()
        names = [f"payment-{number}" for number in range(50)]
        for name in names[:25]:
            silent.signals.signal(name)
        await until(lambda: len(second.ear.heard) == 25)
        for name in names[25:]:
            first.signals.signal(name)
        await until(lambda: len(first.ear.heard) == len(second.ear.heard) == 50)
        for each in (first, second):
            assert each.ear.heard == names
            assert each.ear.doubts == 1, "once, for the time before it was connected"
        assert silent.ear.heard == []


async def test_every_process_hears_every_signal_in_order(redis_url: str) -> None:
    await assert_all_hear(redis_url)


async def test_every_process_hears_every_signal_through_sentinels(sentinel: RedisSentinel) -> None:
    await assert_all_hear(sentinel.url)


async def test_every_process_hears_every_signal_through_a_cluster(cluster: RedisCluster) -> None:
    await assert_all_hear(cluster.url)


async def test_after_a_failover_signals_arrive_again(sentinel: RedisSentinel) -> None:
    async with processes(sentinel.url, sentinel.url) as (sender, hearer):
        await hearer.listen()
        old = await asyncio.to_thread(sentinel.master)
        await asyncio.to_thread(sentinel.failover)
        await until(lambda: hearer.ear.doubts >= 3)  # at first, of the loss, and of what was lost
        await assert_heard(sender, hearer)
        await asyncio.to_thread(sentinel.restart, old)


async def test_a_cluster_of_which_a_node_restarts_is_heard_again(cluster: RedisCluster) -> None:
    """Whichever node the process was connected to."""
    async with processes(cluster.url, cluster.url) as (sender, hearer):
        await hearer.listen()
        for index in range(len(cluster.nodes)):
            await asyncio.to_thread(cluster.kill, index)
            await asyncio.to_thread(cluster.restart, index)
            await asyncio.to_thread(cluster.wait_ok)
            await assert_heard(sender, hearer)


async def test_a_connection_that_was_cut_is_doubted_and_renewed(
    redis_url: str, redis_proxy: Proxy
) -> None:
    async with processes(redis_url, redis_proxy.redis_url) as (sender, hearer):
        await hearer.listen()
        await asyncio.to_thread(redis_proxy.set, Mode.CUT)
        await until(lambda: not hearer.signals.is_connected)
        assert hearer.ear.doubts == 2
        assert not hearer.signals.is_reliable
        await asyncio.to_thread(redis_proxy.set, Mode.PASS)
        await until(lambda: hearer.signals.is_connected)
        assert hearer.ear.doubts == 3
        assert not hearer.signals.is_reliable, "the sender may not have noticed yet"
        await assert_heard(sender, hearer)
        await until(lambda: hearer.signals.is_reliable)


async def test_a_server_that_hangs_is_doubted(redis_url: str, redis_proxy: Proxy) -> None:
    """A network that swallows everything looks like a quiet channel."""
    async with processes(redis_proxy.redis_url) as (hearer,):
        await hearer.listen()
        await asyncio.to_thread(redis_proxy.set, Mode.HANG)
        began = time.monotonic()
        await until(lambda: not hearer.signals.is_connected)
        assert time.monotonic() - began < 10
        assert hearer.ear.doubts == 2
        await asyncio.to_thread(redis_proxy.set, Mode.PASS)
        await until(lambda: hearer.signals.is_connected)


async def test_a_quiet_channel_is_not_doubted(redis_url: str) -> None:
    async with processes(redis_url, redis_url) as (sender, hearer):
        await hearer.listen()
        await asyncio.sleep(3.5)  # three tries of the connection
        assert (hearer.ear.doubts, hearer.ear.heard) == (1, [])
        sender.signals.signal("payment")
        await until(lambda: hearer.ear.heard == ["payment"])


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisNode]:
    with RedisNode(tmp_path / "redis") as node:
        yield node


async def test_announcing_never_waits_and_never_fails(own_redis: RedisNode) -> None:
    async with processes(own_redis.url) as (sender,):
        sender.signals.signal("payment")
        await asyncio.to_thread(own_redis.kill)
        began = time.monotonic()
        for _ in range(20_000):  # more than may wait
            sender.signals.signal("payment")
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.5)  # their failures come in
        sender.is_up = False
        sender.signals.signal("payment")


async def test_a_channel_that_the_user_may_not_use_fails_nothing_else(
    own_redis: RedisNode,
) -> None:
    with own_redis.client() as client:
        client.execute_command("ACL SETUSER shop on >secret ~* +@all resetchannels")
    url = own_redis.url.replace("redis://", "redis://shop:secret@")
    async with processes(own_redis.url, url) as (hearer, refused):
        await hearer.listen()
        refused.signals.signal("payment")
        assert await refused.redis.execute("SET", "key", "value") == b"OK"
        refused.signals.listen(refused.ear)
        await asyncio.sleep(1.5)
        assert not refused.signals.is_connected
        assert hearer.ear.heard == []
