"""The metric of the work queues."""

from typing import Final

from kernapay.core.metrics import Counter, start_at_zero

OUTCOMES: Final = Counter(
    "kernapay_queue_rows_total",
    "Rows of the work queues, by outcome",
    ("queue", "outcome"),
)
_NAMES: Final = (
    *("claimed", "finished", "retried", "parked", "lost", "replayed", "paused", "moved"),
    *("expired", "interrupted", "broken", "unreadable"),
)


def start_counting(queue: str) -> None:
    """Let the counters of a queue exist at zero."""
    start_at_zero(OUTCOMES, [queue], _NAMES)
