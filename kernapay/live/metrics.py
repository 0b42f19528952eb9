"""The metrics of live streams. Signals are counted where they are sent and received."""

from typing import Final

from kernapay.core.metrics import LIVE_SUM, Counter, Gauge, start_at_zero
from kernapay.live.watches import Ending

STREAMS: Final = Gauge(
    "kernapay_live_streams", "Live streams that are open", multiprocess_mode=LIVE_SUM
)
ENDED: Final = Counter(
    "kernapay_live_streams_ended_total", "Live streams that have ended, by reason", ("reason",)
)
REFUSED: Final = Counter(
    "kernapay_live_streams_refused_total",
    "Live streams that were refused: too many of one client, or in all",
    ("limit",),
)
start_at_zero(ENDED, Ending)
start_at_zero(REFUSED, ("client", "all"))
