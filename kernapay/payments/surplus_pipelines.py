"""Updates that enter money which is not for the sale, and what became of it. As pipelines they are atomic."""

from datetime import datetime
from typing import Final

from kernapay.gateway.base import GatewayPayment
from kernapay.payments.evidence import Origin
from kernapay.payments.history import Stage, append_step
from kernapay.payments.states import RefundState, SurplusReason

_OPEN: Final = [RefundState.REQUESTED.value, RefundState.PENDING.value]
_LATE: Final = (SurplusReason.LATE, SurplusReason.CANCELLED)


def add(
    gateway_payment: GatewayPayment, reason: SurplusReason, origin: Origin, at: datetime
) -> list[Stage]:
    """Return the update that enters a payment of the gateway as surplus, and lets the worker return it at once."""
    entry = {
        "paymentId": gateway_payment.id,
        "amount": gateway_payment.amount,
        "reason": reason.value,
        "at": at,
        "status": RefundState.REQUESTED.value,
    }
    entries = {"$concatArrays": [{"$ifNull": ["$surplusPayments", []]}, [{"$literal": entry}]]}
    text = f"{reason.value}, goes back: {gateway_payment.amount}"
    late: Stage = {"late": True} if reason in _LATE else {}
    return [
        {"$set": {"surplusPayments": entries, "surplusAt": at, "surplusChecks": 0, **late}},
        _push_step(origin, text, gateway_payment.id, at),
    ]


def record(
    payment_id: str,
    status: RefundState,
    refund_id: str | None,
    origin: Origin,
    at: datetime,
    *,
    due: datetime,
    checks: int,
) -> list[Stage]:
    """Return the update that stores what became of a surplus payment.

    If its refund is to be requested again, that is `due`, after so many `checks`, unless a look is due before.
    """
    is_this = {"$eq": ["$$this.paymentId", {"$literal": payment_id}]}
    news = {"status": status.value, "refundId": {"$literal": refund_id}}
    changed = {"$cond": [is_this, {"$mergeObjects": ["$$this", news]}, "$$this"]}
    open_ones = {
        "$filter": {"input": "$surplusPayments", "cond": {"$in": ["$$this.status", _OPEN]}}
    }
    next_look: Stage = {"surplusAt": "$surplusAt"}
    if status is RefundState.REQUESTED:
        next_look = {"surplusAt": {"$min": ["$surplusAt", due]}, "surplusChecks": checks}
    return [
        {"$set": {"surplusPayments": {"$map": {"input": "$surplusPayments", "in": changed}}}},
        {"$set": next_look},
        {"$set": {"surplusAt": {"$cond": [{"$eq": [open_ones, []]}, "$$REMOVE", "$surplusAt"]}}},
        _push_step(origin, f"surplus refund {status.value}", payment_id, at),
    ]


def _push_step(origin: Origin, reason: str, payment_id: str, at: datetime) -> Stage:
    step = origin.make_stored_step(reason, at, payment_id)
    return append_step(step, {"status": "$status"})
