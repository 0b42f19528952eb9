"""What changed is told of at once: signals wake the worker, and where they are lost it looks by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import httpx
import pytest
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.deliveries.relay import NEW_DELIVERIES, Relay
from kernapay.deliveries.sources import Changes, PaymentSource
from kernapay.storage.locks import Turn
from kernapay.storage.mongo import Mongo
from kernapay.storage.signals import Alarm
from kernapay.worker import repeat
from tests.actors import Actor
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.clusters.proxy import Mode, Proxy
from tests.deliveries.desk import Desk, open_desk
from tests.deliveries.field import Field
from tests.deliveries.receiver import Receiver
from tests.live.noted_signals import NotedSignals
from tests.live.payments import capture
from tests.stack import StartWorker
from tests.waiting import eventually, until

ALLOWED = {"DELIVERY_ALLOWED_HOSTS": "127.0.0.1"}
# The worker also finds things out about the payments of other tests.
OURS = "waking"


@pytest.fixture
def real_field(store: Store) -> Field:
    field = Field(store, now)
    field.clear()
    return field


def told_after(user: Actor, api: httpx.Client, receiver: Receiver) -> float:
    """Settle a payment, and return how long afterwards its endpoint heard of it, in seconds."""
    payment = user.new_payment(providerId=OURS)
    eventually(lambda: len(receiver.received) == 1, 20)
    receiver.received.clear()
    capture(api, payment)
    begin = time.monotonic()
    eventually(lambda: receiver.received, 20)
    (received,) = receiver.received
    receiver.received.clear()
    assert b'"payment.succeeded"' in received.body
    return received.at - begin


def test_a_business_hears_at_once_that_it_was_paid(
    real_field: Field,
    receiver: Receiver,
    user: Actor,
    api: httpx.Client,
    start_worker: StartWorker,
) -> None:
    real_field.endpoint(receiver.url, providers=[OURS])
    worker = start_worker(**ALLOWED)
    eventually(lambda: worker.log.read_text().count("signals_ready") == 2)
    times = [told_after(user, api, receiver) for _ in range(8)]
    # Without signals, it would be more than half a second for each.
    assert sum(times) < 3, times


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.HANG])
def test_without_redis_it_hears_of_it_a_moment_later(
    mode: Mode,
    real_field: Field,
    receiver: Receiver,
    user: Actor,
    api: httpx.Client,
    start_worker: StartWorker,
    redis_proxy: Proxy,
) -> None:
    real_field.endpoint(receiver.url, providers=[OURS])
    worker = start_worker(**ALLOWED, REDIS_URL=redis_proxy.redis_url)
    eventually(lambda: worker.log.read_text().count("signals_ready") == 2)
    redis_proxy.set(mode)
    assert max(told_after(user, api, receiver) for _ in range(3)) < 10


@pytest.mark.anyio
@pytest.mark.parametrize("ring", [lambda alarm: alarm.hear("7"), Alarm.doubt])
async def test_an_alarm_ends_the_pause_of_a_loop(ring: Callable[[Alarm], None]) -> None:
    alarm, stop = Alarm(), asyncio.Event()
    sweeps = 0

    async def sweep() -> bool:
        nonlocal sweeps
        sweeps += 1
        return False

    async def ring_for(number: int) -> None:
        await until(lambda: sweeps >= number)
        ring(alarm)

    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(repeat("events", sweep, stop, alarm))
        for number in range(1, 10):
            await ring_for(number)
        stop.set()
    assert time.monotonic() - begin < 5


@pytest.mark.anyio
async def test_a_signal_during_a_sweep_is_not_lost() -> None:
    alarm, stop = Alarm(), asyncio.Event()
    sweeps = 0

    async def sweep() -> bool:
        nonlocal sweeps
        sweeps += 1
        alarm.hear("7")
        if sweeps == 10:
            stop.set()
        return False

    begin = time.monotonic()
    await repeat("events", sweep, stop, alarm)
    assert time.monotonic() - begin < 5


@pytest.fixture
async def desk(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        yield desk


class Counted(PaymentSource):
    reads = 0

    async def read(self, at: datetime, count: int) -> Changes:
        self.reads += 1
        return await super().read(at, count)


def relay_of(desk: Desk, source: PaymentSource, signals: NotedSignals, turn: Turn) -> Relay:
    return Relay(
        (source,), desk.events, desk.listeners, desk.clock, signaller=signals, turn=turn, always_stores=True
    )  # fmt: skip


@pytest.mark.anyio
async def test_the_relay_signals_deliveries_and_nothing_else(desk: Desk) -> None:
    signals = NotedSignals()
    source = PaymentSource(desk.ledger, desk.notes.events_since)
    relay = relay_of(desk, source, signals, Turn(desk.mongo, str(ObjectId()), timedelta(minutes=1)))
    await desk.paid()
    await desk.tell(relay)
    assert signals.names == [], "nobody wants them"
    payment = await desk.create()
    await desk.endpoint(since=payment.created_at)
    await desk.tell(relay)
    assert signals.names == [NEW_DELIVERIES]


@pytest.mark.anyio
async def test_while_another_relay_has_the_turn_signals_cost_no_reading(desk: Desk) -> None:
    name, lasts = str(ObjectId()), timedelta(minutes=1)
    assert await Turn(desk.mongo, name, lasts).is_ours()
    source = Counted(desk.ledger, desk.notes.events_since)
    relay = relay_of(desk, source, NotedSignals(), Turn(desk.mongo, name, lasts))
    await desk.paid()
    desk.clock.advance(seconds=2)
    for _ in range(20):
        assert not await relay.sweep()
    assert source.reads <= 3
    assert await desk.marked() == 1
