"""The service's own counters and histograms, on prometheus-client."""

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
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

REQUESTS: Final = Histogram(
    "kernapay_http_request_seconds",
    "Time to answer, by route and status",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
MOVES: Final = Counter(
    "kernapay_payment_moves_total", "Payments that changed their status", ("status", "source")
)
MISMATCHES: Final = Counter(
    "kernapay_payment_mismatches_total", "Evidence that did not fit its payment", ("source",)
)
WEBHOOKS: Final = Counter("kernapay_webhooks_total", "Webhooks received, by outcome", ("outcome",))
MESSAGES: Final = Counter(
    "kernapay_messages_total", "E-mails and texts, by outcome of a sending", ("channel", "outcome")
)
GATEWAY: Final = Histogram(
    "kernapay_gateway_call_seconds",
    "Time the gateway took, by call and outcome",
    ("call", "outcome"),
)


def exposition() -> bytes:
    """Render all metrics; with several workers, those of all of them (PROMETHEUS_MULTIPROC_DIR)."""
    if values.ValueClass.__name__ == "MmapedValue":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY)
