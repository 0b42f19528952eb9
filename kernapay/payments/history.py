"""The steps of a payment's history, and the only ways to add one: each marks the payment for the relay.

So a change and its marker are one write. `deliveries/` has the relay, which makes events of marked steps. Imported
steps get no events.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from kernapay.gateway.base import GatewayPayment
from kernapay.payments.evidence import IMPORTED, Origin
from kernapay.payments.models import Payment, Step
from kernapay.payments.states import Status

Stage = dict[str, Any]
# A new payment is without an order for as long as the gateway takes. Its first event had better name the order.
_ORDER_TIME: Final = timedelta(seconds=1)


def make_step(
    status: Status,
    at: datetime,
    origin: Origin,
    gateway_payment: GatewayPayment | None = None,
    reason: str | None = None,
    *,
    final: bool = False,
    late: bool = False,
) -> Step:
    """Return a step of the history."""
    return Step(
        status=status,
        at=at,
        source=origin.source,
        event=origin.event,
        event_id=origin.event_id,
        actor=origin.actor,
        razorpay_payment_id=gateway_payment.id if gateway_payment else None,
        reason=reason,
        final=final or None,
        late=late or None,
    )


def begin_history(payment: Payment, step: Step) -> None:
    """Give a new payment its first step."""
    payment.history = [step]
    payment.announced = 0
    payment.announce = step.at + _ORDER_TIME


def push_step(step: Step) -> dict[str, Any]:
    """Return the update that adds a step."""
    told = {} if step.event == IMPORTED else {"set__announce": step.at}
    return {"push__history": step, **told}


def has_steps(count: int) -> dict[str, Any]:
    """Return the condition that a payment has so many steps."""
    return {"__raw__": {"history": {"$size": count}}}


def append_step(step: Stage, computed: Stage, unless: Any = False) -> Stage:
    """Return the stage of a pipeline that adds a step and moves `updatedAt`, unless a condition holds.

    `step` is stored as it is. `computed` has the fields that the pipeline reads from the payment.
    """
    new = [{"$mergeObjects": [{"$literal": step}, computed]}]
    at = step["updatedAt"]
    changes = {
        "history": {"$concatArrays": [{"$ifNull": ["$history", []]}, new]},
        "updatedAt": at,
    }
    if step.get("event") != IMPORTED:
        changes["announce"] = at
    if unless is False:
        return {"$set": changes}
    return {
        "$set": {name: {"$cond": [unless, f"${name}", value]} for name, value in changes.items()}
    }
