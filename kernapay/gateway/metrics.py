"""The metrics of calls to the gateway. A call is named by its method and entity, never by an id."""

from functools import cache
from typing import Final

from kernapay.core.metrics import Counter, Histogram, start_at_zero
from kernapay.core.tracing import record_call

SECONDS: Final = Histogram(
    "kernapay_gateway_call_seconds",
    "Time the gateway took, by call and outcome",
    ("call", "outcome"),
)
CALLS: Final = Counter(
    "kernapay_gateway_calls_total",
    "Calls to the gateway; refused: 4xx, limited: 429, failed: 5xx or a redirect, unanswered: no answer in time",
    ("call", "outcome"),
)
NOT_MADE: Final = Counter(
    "kernapay_gateway_calls_not_made_total",
    "Calls to the gateway that waited too long for a free slot and were given up before they began",
)
NOT_KEPT: Final = Counter(
    "kernapay_gateway_calls_not_kept_total",
    "Calls to the gateway that are not in the collection gateway_calls: too many waited, or MongoDB was away",
)
_ENTITIES: Final = frozenset({"orders", "payments", "refunds", "settlements", "disputes"})
_UNANSWERED: Final = "unanswered"
_TOO_MANY_REQUESTS: Final = 429
start_at_zero(
    CALLS,
    [*(f"GET {entity}" for entity in sorted(_ENTITIES)), "POST orders", "POST payments"],
    ["ok", "refused", "limited", "failed", _UNANSWERED],
)


def count_call(method: str, url: str, status: int | None, seconds: float) -> None:
    """Count a call and its time, and add it to the trace. `status` is None without an answer."""
    call = f"{method} {_entity_of(url)}"
    took, count = _series_of(call, status)
    took.observe(seconds)
    count.inc()
    record_call(call, seconds, status)


@cache
def _series_of(call: str, status: int | None) -> tuple[Histogram, Counter]:
    known = "unknown" if status is None else str(status)
    return SECONDS.labels(call, known), CALLS.labels(call, outcome_of(status))


def outcome_of(status: int | None) -> str:
    """Return the outcome label for a status; None means that there was no answer."""
    if status is None:
        return _UNANSWERED
    if status == _TOO_MANY_REQUESTS:
        return "limited"
    return {2: "ok", 4: "refused"}.get(status // 100, "failed")


def _entity_of(url: str) -> str:
    """Return the name of a call for the metrics, without ids."""
    return next((part for part in url.split("/") if part in _ENTITIES), "other")
