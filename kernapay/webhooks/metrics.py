"""The metric of the webhook."""

from typing import Final

from kernapay.core.metrics import Counter

WEBHOOKS: Final = Counter("kernapay_webhooks_total", "Webhooks received, by outcome", ("outcome",))
