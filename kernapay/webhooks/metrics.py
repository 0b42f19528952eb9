"""The metric of the webhook."""

from typing import Final

from prometheus_client import Counter

WEBHOOKS: Final = Counter("kernapay_webhooks_total", "Webhooks received, by outcome", ("outcome",))
