"""What a change of a payment is based on: the gateway's data, and where it came from."""

from dataclasses import dataclass

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.states import LatePayments, Source


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change came from: its source, its event or call, and its actor. Each step of the history stores it."""

    source: Source
    event: str
    event_id: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The gateway's data about a payment and, for a refund, about that refund.

    `known_refunds` are stored in the update that makes the payment paid, so that it is never paid without them.
    `late_decision` is a person's, about money of a sale that has ended.
    """

    origin: Origin
    payment: GatewayPayment
    refund: GatewayRefund | None = None
    signature: str | None = None
    known_refunds: tuple[GatewayRefund, ...] = ()
    late_decision: LatePayments | None = None
