"""The classes of metrics, and the body of `/metrics`. Each metric is declared in the module that counts it."""

import os
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
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
    "Counter",
    "GaugeMetricFamily",
    "Histogram",
    "Measurement",
    "exposition",
]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_folder: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
if _folder:
    # The library's own switch, which it reads whenever a metric is made. It has to be set before the first one.
    values.ValueClass = SharedValues(Path(_folder))


@dataclass(frozen=True, slots=True)
class Measurement:
    """A gauge whose value is read from a store for each scrape. `read` may raise Unavailable."""

    name: str
    meaning: str
    read: Callable[[], Awaitable[float]]


class _Snapshot(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(families: Iterable[Metric] = ()) -> bytes:
    """Return all metrics, and `families`, in Prometheus text format.

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


def _files_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        # An empty file is of a worker that could not write. The library cannot read it.
        return [e.path for e in entries if e.name.endswith(".db") and e.stat().st_size > 8]


def _text(families: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(families))
    return generate_latest(registry)
