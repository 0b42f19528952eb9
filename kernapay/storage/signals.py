"""Signals between processes: the name of something that changed, by Redis's publish/subscribe.

A signal may be lost, and nothing waits for one. It means "look": whoever listens also looks without one from time to
time.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol

import structlog

from kernapay.core.errors import Unavailable
from kernapay.core.metrics import Counter, Tally
from kernapay.storage.redis import RedisFailure, RedisStore

_log = structlog.get_logger("kernapay.signals")

_SIGNALS: Final = Tally(
    Counter(
        "kernapay_signals_total",
        "Signals between processes: sent, not sent because Redis is away or refused them, and heard",
        ("outcome",),
    )
)
for _outcome in ("sent", "unsent", "heard"):
    _SIGNALS.start_at_zero(_outcome)
# After so many seconds without a signal, the connection is tried.
_SILENCE: Final = 1.0
_RETRY_SECONDS: Final = 0.5
# The sender may notice a little later than the listener that Redis is back.
_DOUBT_SECONDS: Final = 5.0
# Redis may refuse a channel to its user. The refusal would make a cluster client repeat each batch.
_REFUSED_SECONDS: Final = 60.0


class Signaller(Protocol):
    """Sends to other processes what changed. It never waits and never fails."""

    def signal(self, name: str) -> None: ...


class Listener(Protocol):
    """Receives signals on the event loop. Its methods must not block and must not raise."""

    def hear(self, name: str) -> None: ...

    def doubt(self) -> None:
        """Learn that signals may have been lost."""


class Alarm:
    """Wakes a loop that also looks by itself. All signals mean the same to it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def hear(self, _: str) -> None:
        self._rung.set()

    def doubt(self) -> None:
        self._rung.set()

    def reset(self) -> None:
        """Forget the signals until now: the loop is about to look."""
        self._rung.clear()

    async def wait(self) -> None:
        """Return at the first signal since the reset."""
        await self._rung.wait()


class Signals:
    """One channel of signals. A process subscribes once, whatever the number of its listeners."""

    def __init__(self, redis: RedisStore, channel: str, is_up: Callable[[], bool]) -> None:
        """`is_up` says whether Redis is believed to work: nothing is sent to one that is away."""
        self._redis = redis
        self._channel = channel
        self._is_up = is_up
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._connected_at: float | None = None
        self._refused_until = 0.0

    @property
    def is_connected(self) -> bool:
        return self._connected_at is not None

    @property
    def is_reliable(self) -> bool:
        """Whether signals have arrived for some seconds. Otherwise look more often."""
        return self._connected_at is not None and monotonic() - self._connected_at >= _DOUBT_SECONDS

    def signal(self, name: str) -> None:
        """Send a signal with what else this turn sends to Redis."""
        if not self._is_up() or monotonic() < self._refused_until:
            _SIGNALS.counts["unsent",] += 1
            return
        try:
            reply = self._redis.publish(self._channel, name)
        except Unavailable:  # too many calls are waiting
            _SIGNALS.counts["unsent",] += 1
            return
        reply.add_done_callback(self._note)

    def listen(self, listener: Listener) -> None:
        """Pass every signal to a listener from now on, and connect if it is the first."""
        self._listeners.append(listener)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._hear_forever())

    async def close(self) -> None:
        # A cancellation can be lost in redis-py, see Cache. Then the loop ends after its next message.
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _note(self, reply: "asyncio.Future[list[Any]]") -> None:
        if reply.cancelled():
            return
        failure = reply.exception() or next(
            (each for each in reply.result() if isinstance(each, Exception)), None
        )
        _SIGNALS.counts["unsent" if failure else "sent",] += 1
        if failure and not reply.exception():
            self._refused_until = monotonic() + _REFUSED_SECONDS
            _log.warning(
                "signals_refused",
                channel=self._channel,
                error=type(failure).__name__,
                fix=f"allow the service's Redis user the channel {self._channel}",
            )

    async def _hear_forever(self) -> None:
        while not self._is_closing:
            try:
                await self._hear_connection()
            except RedisFailure as error:
                self._lose(error)
            except Exception as error:
                # If this loop ended, nothing would be heard again.
                _log.error("signals_broken", exc_info=error)
                self._lose(error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _hear_connection(self) -> None:
        async with self._redis.subscription(self._channel) as subscription:
            self._connected_at = monotonic()
            _log.info("signals_ready", channel=self._channel)
            self._doubt()
            while not self._is_closing:
                message = await subscription.read(_SILENCE)
                if message is not None:
                    _SIGNALS.counts["heard",] += 1
                    for listener in self._listeners:
                        listener.hear(message.decode(errors="replace"))

    def _lose(self, error: Exception) -> None:
        if self._connected_at is None:
            return
        self._connected_at = None
        _log.warning("signals_lost", channel=self._channel, error=type(error).__name__)
        self._doubt()

    def _doubt(self) -> None:
        for listener in self._listeners:
            listener.doubt()
