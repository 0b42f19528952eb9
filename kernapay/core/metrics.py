"""The classes of metrics, and the body of `/metrics`. Each metric is declared in the module that counts it."""

import os
import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from kernapay.core.errors import Unavailable
from kernapay.core.shared_values import SharedValues

__all__ = [
    "CONTENT_TYPE",
    "LIVE_SUM",
    "Counter",
    "Gauge",
    "GaugeMetricFamily",
    "GaugeSource",
    "Histogram",
    "HistogramTally",
    "Measurement",
    "Tally",
    "exposition",
    "forget_process",
    "publish_tallies",
    "start_at_zero",
]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
LIVE_SUM: Final = "livesum"
"""The mode of a gauge that the workers which are alive add up."""
_folder: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
if _folder:
    # The library's own switch, which it reads whenever a metric is made. It has to be set before the first one.
    values.ValueClass = SharedValues(Path(_folder))


@runtime_checkable
class GaugeSource(Protocol):
    """Something whose present numbers are read when they are asked for."""

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return the numbers. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A gauge with one number. `read` may raise Unavailable."""

    name: str
    meaning: str
    read: Callable[[], Awaitable[float]]

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return the number. Raises Unavailable."""
        return [GaugeMetricFamily(self.name, self.meaning, value=await self.read())]


class Published(Protocol):
    """What was counted besides a metric."""

    def publish(self) -> None:
        """Move what was counted to the metric. Call this on the event loop's thread."""


_published: Final[list[Published]] = []


def publish_tallies() -> None:
    """Move what every tally has counted to its metric. Call this on the event loop's thread."""
    for each in _published:
        each.publish()


class Tally:
    """Counts for code that runs several times in each request. Only the event loop's thread may add.

    The library takes a lock for each increment and, with several workers, writes a file. Here an increment is a plain
    addition: once a second, and at each scrape, `publish_tallies` moves the sums to the counter.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        _published.append(self)

    def start_at_zero(self, *labels: str) -> None:
        """Let the series exist before anything is counted."""
        self._counter.labels(*labels)

    def publish(self) -> None:
        counts, self.counts = self.counts, defaultdict(int)
        for labels, count in counts.items():
            self._counter.labels(*labels).inc(count)


class HistogramTally(Histogram):
    """A histogram that counts as a Tally does. Only the event loop's thread may observe."""

    # Called for each combination of labels: those are histograms of this class too.
    def _metric_init(self) -> None:
        super()._metric_init()
        self._tally_counts = [0] * len(self._upper_bounds)
        self._tally_sum = 0.0
        _published.append(self)

    def observe(self, amount: float, exemplar: object = None) -> None:
        """Count the amount. An exemplar is not kept."""
        self._tally_counts[bisect_left(self._upper_bounds, amount)] += 1
        self._tally_sum += amount

    def publish(self) -> None:
        if not any(self._tally_counts):
            return
        counts, self._tally_counts = self._tally_counts, [0] * len(self._upper_bounds)
        total, self._tally_sum = self._tally_sum, 0.0
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


def start_at_zero(metric: Counter | Histogram, *labels: Iterable[str]) -> None:
    """Create the series of every combination of labels: `rate()` does not see the first increment of a new series."""
    for combination in product(*labels):
        metric.labels(*combination)


class _Snapshot(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(families: Iterable[Metric] = ()) -> bytes:
    """Return all metrics, and `families`, in Prometheus text format. Tallies must be published before.

    With several workers, their counters are added up from the files in PROMETHEUS_MULTIPROC_DIR. Raises Unavailable
    if these cannot be read.
    """
    current = _text(families)
    if not _folder:
        return generate_latest(REGISTRY) + current
    try:
        shared = MultiProcessCollector.merge(_files_in(_folder))  # type: ignore[no-untyped-call]
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        raise Unavailable(
            f"The metrics of the workers cannot be read in {_folder}. Restart the service. ({error})"
        ) from error
    return _text(shared) + current


def forget_process(pid: int) -> None:
    """Leave out the gauges of a worker that has died. What it counted stays."""
    if _folder:
        with suppress(OSError):  # it died before it had any, or the folder is gone
            Path(_folder, f"gauge_{LIVE_SUM}_{pid}.db").unlink()


def _files_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        # An empty file is of a worker that could not write. The library cannot read it.
        return [e.path for e in entries if e.name.endswith(".db") and e.stat().st_size > 8]


def _text(families: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(families))
    return generate_latest(registry)
