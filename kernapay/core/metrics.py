"""The body of `/metrics`. Each metric is declared in the module that counts it."""

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
    """Return all metrics, and `families`, in Prometheus text format.

    With several workers, prometheus-client adds up their counters from files in PROMETHEUS_MULTIPROC_DIR.
    """
    registry = CollectorRegistry()
    registry.register(_Snapshot(families))
    current = generate_latest(registry)
    if values.ValueClass.__name__ != "MmapedValue":
        return generate_latest(REGISTRY) + current
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return generate_latest(shared) + current
