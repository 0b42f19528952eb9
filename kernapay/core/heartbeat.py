"""Heartbeats of a worker's loops, in a file and as a metric.

Times are seconds of the machine's monotonic clock, which all its processes share.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec
import structlog

from kernapay.core.metrics import GaugeMetricFamily

_log = structlog.get_logger("kernapay.heartbeat")
_INTERVAL: Final = 5.0  # seconds
# A busy machine may delay the event loop, but not for this long.
_PROCESS_SILENCE: Final = 60.0  # seconds
# A loop gives a sign between two pieces of work, and before each question to the gateway. These may be slow.
_LOOP_SILENCE: Final = 600.0  # seconds
_beat: ContextVar[Callable[[], None] | None] = ContextVar("beat", default=None)


class _Signs(msgspec.Struct):
    process: float
    loops: dict[str, float]


def beat() -> None:
    """Record a heartbeat of the current loop. Call this wherever long work makes progress."""
    if (mark := _beat.get()) is not None:
        mark()


class Heartbeat:
    """Records the heartbeats of loops. Without a path, no file is written."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._clock = clock
        self._loops: dict[str, float] = {}

    async def watch(self, name: str, loop: Awaitable[None]) -> None:
        """Run a loop. `beat()` in it, and in tasks that it starts, is its heartbeat."""
        self._mark(name)
        _beat.set(partial(self._mark, name))
        await loop

    def hung_loops(self) -> list[str]:
        """Return one line about each loop that hangs."""
        return _describe_hung(self._loops, self._clock())

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return the age of each loop's last heartbeat, in seconds."""
        silences = GaugeMetricFamily(
            "kernapay_worker_loop_silence_seconds",
            "Time since the last sign of life of a loop of the worker; it hangs after ten minutes",
            labels=("loop",),
        )
        for name, at in self._loops.items():
            silences.add_metric((name,), self._clock() - at)
        return [silences]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write the file every few seconds until the block ends, then remove it."""
        if self._path is None:
            yield
            return
        writer = asyncio.get_running_loop().create_task(self._run(self._path))
        try:
            yield
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            self._path.unlink(missing_ok=True)

    def write(self, path: Path) -> None:
        draft = path.with_name(f"{path.name}.new")
        draft.write_bytes(msgspec.json.encode(_Signs(self._clock(), self._loops)))
        draft.replace(path)

    async def _run(self, path: Path) -> None:
        while True:
            try:
                await asyncio.to_thread(self.write, path)
            except (OSError, RuntimeError) as error:  # the disk is full, or no thread can start
                # The check will fail, but the work goes on.
                _log.warning(
                    "heartbeat_not_written",
                    error=str(error),
                    fix="let the worker write to the directory of --heartbeat, which may be full",
                )
            await asyncio.sleep(_INTERVAL)

    def _mark(self, name: str) -> None:
        self._loops[name] = self._clock()


def find_silence(path: Path, clock: Callable[[], float] = monotonic) -> list[str]:
    """Return one line about each problem of the process that writes the file; none if it works."""
    try:
        signs = msgspec.json.decode(path.read_bytes(), type=_Signs)
    except FileNotFoundError:
        return [f"{path} does not exist: no worker with --heartbeat {path} is running."]
    except (OSError, msgspec.DecodeError) as error:
        return [f"{path} cannot be read ({error}). Fix: start the worker again."]
    now = clock()
    # After a restart of the machine, its clock begins anew: a file from before is of no worker that runs.
    if not 0 <= now - signs.process <= _PROCESS_SILENCE:
        return [f"The worker hangs: it wrote {path} {now - signs.process:.0f} s ago."]
    return _describe_hung(signs.loops, now)


def _describe_hung(loops: Mapping[str, float], now: float) -> list[str]:
    return [
        f"The loop {name} hangs: its last sign of life was {now - at:.0f} s ago."
        for name, at in sorted(loops.items())
        if now - at > _LOOP_SILENCE
    ]
