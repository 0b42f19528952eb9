"""What somebody brings to change a payment, and who they are."""

from dataclasses import dataclass

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.states import Source


@dataclass(frozen=True, slots=True)
class Origin:
    """Who brought a change, and the event or call it came with; each step of the history names it."""

    source: Source
    event: str
    event_id: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gateway says of a payment, and of one of its refunds."""

    origin: Origin
    payment: GatewayPayment
    refund: GatewayRefund | None = None
    signature: str | None = None
