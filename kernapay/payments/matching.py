"""Does the gateway's payment fit ours, and which of several attempts counts?"""

from collections.abc import Iterable
from typing import Final

from kernapay.gateway.base import GatewayPayment
from kernapay.payments.models import Payment
from kernapay.payments.states import Event

# What says most about an order: money first, then hope, then failure.
_ATTEMPTS: Final = ("captured", "refunded", "authorized", "created", "failed")


def mismatch_of(payment: Payment, facts: GatewayPayment, event: Event | None = None) -> str | None:
    """Return what does not fit (`order`, `amount`, `currency`, `status`); None when all does.

    With an event, what the gateway says of the payment must agree with the event's name: a name alone proves nothing.
    """
    if payment.razorpay_order_id != facts.order_id:
        return "order"
    if payment.amount != facts.amount:
        return "amount"
    if payment.currency != facts.currency:
        return "currency"
    return "status" if _contradicts(event, facts) else None


def best_attempt(attempts: Iterable[GatewayPayment]) -> GatewayPayment | None:
    """Return the attempt that says most about an order; None when there is none of a known status."""
    known = [attempt for attempt in attempts if attempt.status in _ATTEMPTS]
    return min(known, key=lambda a: (_ATTEMPTS.index(a.status), -a.created_at, a.id), default=None)


def _contradicts(event: Event | None, facts: GatewayPayment) -> bool:
    if event is Event.CAPTURED:
        return not facts.is_captured
    if event is Event.DECLINED:
        return facts.is_captured or facts.status in ("created", "authorized")
    return False
