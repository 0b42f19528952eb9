"""The evidence for a change of a payment: the gateway's data, and where it came from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.states import Source

IMPORTED: Final = "imported"
"""The event of the steps that an import adds. Nobody is told of old sales, and no paper is made of them unasked."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change came from: its source, its event or call, and its actor. Each step of the history stores it."""

    source: Source
    event: str
    event_id: str | None = None
    actor: str | None = None

    def make_stored_step(
        self, reason: str, at: datetime, payment_id: str | None = None
    ) -> dict[str, Any]:
        """Return a step of the history, without a status, as it is stored: for updates that are pipelines."""
        step = {
            "updatedAt": at,
            "source": self.source.value,
            "event": self.event,
            "eventId": self.event_id,
            "actor": self.actor,
            "razorpayPaymentId": payment_id,
            "reason": reason,
        }
        return {name: value for name, value in step.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The gateway's data about a payment and, for a refund, about that refund.

    `known_refunds` are stored in the update that makes the payment paid, so that it is never paid without them.
    `happened_at` is the gateway's time of the event, in Unix seconds, None if unknown.
    """

    origin: Origin
    payment: GatewayPayment
    refund: GatewayRefund | None = None
    signature: str | None = None
    known_refunds: tuple[GatewayRefund, ...] = ()
    happened_at: int | None = None

    def came_at(self, earliest: datetime, latest: datetime) -> datetime:
        """Return when the event happened: `latest`, unless the gateway's time is between the two."""
        told = self.happened_at
        if told is None or not earliest.timestamp() <= told < latest.timestamp():
            return latest
        return datetime.fromtimestamp(told, UTC)
