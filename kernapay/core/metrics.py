"""What `/metrics` answers. Each instrument is declared where it is counted."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    values,
)
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class _Snapshot(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(families: Iterable[Metric] = ()) -> bytes:
    """Render all metrics, and `families`, which were read just now.

    With several workers, their counters are added up through files (PROMETHEUS_MULTIPROC_DIR).
    """
    registry = CollectorRegistry()
    registry.register(_Snapshot(families))
    current = generate_latest(registry)
    if values.ValueClass.__name__ != "MmapedValue":
        return generate_latest(REGISTRY) + current
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return generate_latest(shared) + current
