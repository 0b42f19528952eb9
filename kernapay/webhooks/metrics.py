"""The metrics of the webhook."""

from datetime import datetime
from typing import Final

import msgspec

from kernapay.core.metrics import Counter, Histogram, start_at_zero

WEBHOOKS: Final = Counter("kernapay_webhooks_total", "Webhooks received, by outcome", ("outcome",))
LAG: Final = Histogram(
    "kernapay_webhook_lag_seconds",
    "Time since the gateway made an event, when it was received and when it was processed",
    ("stage",),
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600),
)
RECEIVED: Final = LAG.labels("received")
PROCESSED: Final = LAG.labels("processed")
start_at_zero(
    WEBHOOKS,
    ["processed", "ignored", "foreign", "mismatch", "kept", "repeated", "bad_signature"],
)


class _Made(msgspec.Struct):
    created_at: int
    """Unix seconds."""


_decode: Final = msgspec.json.Decoder(_Made).decode


def observe_lag(stage: Histogram, body: bytes, at: datetime) -> None:
    """Observe the age of an event, RECEIVED or PROCESSED. An event without a time is left out."""
    try:
        made = _decode(body).created_at
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    # The gateway's clock may be ahead of ours.
    stage.observe(max(0.0, at.timestamp() - made))
