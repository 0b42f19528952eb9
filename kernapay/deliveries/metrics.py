"""Metrics of endpoints, and the log of their end."""

from typing import Final

import structlog

from kernapay.core.metrics import Counter, start_at_zero

_log = structlog.get_logger("kernapay.deliveries")

GONE: Final = "gone"
FAILING: Final = "failing"
ACCOUNT_CHANGED: Final = "account_changed"
KEEPER_NOT_ADMIN: Final = "keeper_not_admin"

DISABLED: Final = Counter(
    "kernapay_endpoints_disabled_total", "Endpoints that KernaPay switched off", ("reason",)
)
start_at_zero(DISABLED, (GONE, FAILING, ACCOUNT_CHANGED, KEEPER_NOT_ADMIN))


def report_disabled(endpoint_id: str, reason: str) -> None:
    """Count and log that an endpoint was switched off."""
    DISABLED.labels(reason).inc()
    _log.warning("endpoint_disabled", endpoint=endpoint_id, reason=reason)
