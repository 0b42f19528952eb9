"""Watch payments for the streams of this process, and pass every change to them.

A signal says which payment to read from MongoDB. A poll finds the changes whose signals were lost.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import Final, NamedTuple

import structlog

from kernapay.core.errors import Unavailable
from kernapay.live.dtos import LivePayment
from kernapay.live.repository import LivePaymentRepository
from kernapay.live.watches import Ending, Watch
from kernapay.storage.signals import Signals

_log = structlog.get_logger("kernapay.live")

# A history may be long, and a size is a number.
_ROWS_PER_READ: Final = 200
_SIZES_PER_READ: Final = 1000
_RETRY_SECONDS: Final = 1.0
# Thousands of heartbeats at once would hold up the event loop.
_TICK_SECONDS: Final = 0.25


Work = Callable[[], Coroutine[None, None, None]]


class Rhythm(NamedTuple):
    """Times in seconds."""

    heartbeat: float = 15.0
    poll: float = 10.0
    poll_in_doubt: float = 2.0
    """While signals may be lost."""
    lifetime: float = 1800.0
    """Of a stream."""
    patience: float = 10.0
    """How long a history must be shorter than before, to be believed."""


_RHYTHM: Final = Rhythm()


class _Watched:
    """A payment with its streams, and the greatest number of steps that any of them was shown."""

    __slots__ = ("shorter_since", "steps", "watches")

    def __init__(self) -> None:
        self.steps = 0
        self.shorter_since: float | None = None
        self.watches: set[Watch] = set()

    def lacks(self, steps: int) -> bool:
        """Return whether a stream was shown another number of steps. One may have opened with an older reading."""
        return self.steps != steps or any(watch.steps != steps for watch in self.watches)


class Watcher:
    """Its work runs only while there are streams."""

    def __init__(
        self,
        payments: LivePaymentRepository,
        signals: Signals,
        rhythm: Rhythm = _RHYTHM,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._payments = payments
        self._signals = signals
        self._rhythm = rhythm
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._by_heartbeat: deque[Watch] = deque()
        self._changed: set[str] = set()
        self._is_in_doubt = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_listening = False
        self._is_stopping = False

    def watch(self, row: LivePayment) -> Watch:
        """Watch a payment from the state that was read. What changed since then is shown too."""
        now = self._clock()
        due, ends_at = now + self._rhythm.heartbeat, now + self._rhythm.lifetime
        watch = Watch(row.id, len(row.history), due, ends_at)
        watched = self._watched.setdefault(row.id, _Watched())
        watched.steps = max(watched.steps, len(row.history))
        watched.watches.add(watch)
        self._by_heartbeat.append(watch)
        self._start()
        if self._is_stopping:
            watch.end(Ending.RESTART)
        # It may have changed between that reading and now.
        self.hear(row.id)
        return watch

    def leave(self, watch: Watch) -> None:
        """Stop watching."""
        watch.end(Ending.GONE)
        watched = self._watched[watch.payment_id]
        watched.watches.discard(watch)
        if not watched.watches:
            del self._watched[watch.payment_id]

    def hear(self, name: str) -> None:
        """Learn that a payment has changed."""
        if name in self._watched:
            self._changed.add(name)
            self._run("reading", self._read_changed)

    def doubt(self) -> None:
        """Learn that signals may have been lost."""
        self._is_in_doubt.set()

    def end_all(self) -> None:
        """End every stream, and new ones at once, because the process is about to stop."""
        self._is_stopping = True
        for watched in self._watched.values():
            for watch in watched.watches:
                watch.end(Ending.RESTART)

    async def close(self) -> None:
        self.end_all()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        if not self._is_listening:
            self._is_listening = True
            self._signals.listen(self)
        self._run("heartbeats", self._beat)
        self._run("polling", self._poll)

    def _run(self, name: str, work: Work) -> None:
        running = self._tasks.get(name)
        if running is None or running.done():
            self._tasks[name] = asyncio.get_running_loop().create_task(_keep_on(name, work))

    async def _beat(self) -> None:
        while self._by_heartbeat:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock()
            while self._by_heartbeat and self._by_heartbeat[0].due <= now:
                watch = self._by_heartbeat.popleft()
                if watch.ending is not None:
                    continue
                if watch.ends_at <= now:
                    watch.end(Ending.AGE)
                    continue
                watch.beat()
                watch.due = now + self._rhythm.heartbeat
                self._by_heartbeat.append(watch)

    async def _poll(self) -> None:
        while self._watched:
            is_calm = self._signals.is_reliable
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    self._rhythm.poll if is_calm else self._rhythm.poll_in_doubt
                ):
                    await self._is_in_doubt.wait()
            self._is_in_doubt.clear()
            with suppress(Unavailable):  # the next poll finds it
                await self._compare()

    async def _compare(self) -> None:
        ids = iter(list(self._watched))
        while batch := list(islice(ids, _SIZES_PER_READ)):
            for payment_id, steps in (await self._payments.sizes(batch)).items():
                watched = self._watched.get(payment_id)
                if watched is not None and watched.lacks(steps):
                    self.hear(payment_id)

    async def _read_changed(self) -> None:
        while self._changed:
            batch = set(islice(self._changed, _ROWS_PER_READ))
            self._changed -= batch
            try:
                rows = await self._payments.with_ids(list(batch))
            except Unavailable:
                self._changed |= batch & self._watched.keys()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for row in rows:
                self._show(row)

    def _show(self, row: LivePayment) -> None:
        watched = self._watched.get(row.id)
        if watched is None or self._is_behind(watched, row):
            return
        watched.steps, watched.shorter_since = len(row.history), None
        for watch in watched.watches:
            watch.offer(row)

    def _is_behind(self, watched: _Watched, row: LivePayment) -> bool:
        """Return whether a row is older than what was shown: a reading overtook it, or a new primary lags behind.

        Histories only grow. One that stays shorter was restored from a backup.
        """
        if len(row.history) >= watched.steps:
            return False
        now = self._clock()
        watched.shorter_since = watched.shorter_since or now
        return now - watched.shorter_since < self._rhythm.patience


async def _keep_on(name: str, work: Work) -> None:
    while True:
        try:
            await work()
            return
        except Exception as error:
            # The streams that are open would hear nothing more.
            _log.error("live_broken", work=name, exc_info=error)
        await asyncio.sleep(_RETRY_SECONDS)
