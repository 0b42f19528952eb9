"""Updates that enter money which is not for the sale, and what became of it. As pipelines they are atomic."""

from datetime import datetime
from typing import Any, Final

from kernapay.gateway.base import GatewayPayment
from kernapay.payments.evidence import Origin
from kernapay.payments.states import RefundState, SurplusReason

Stage = dict[str, Any]

_OPEN: Final = [RefundState.REQUESTED.value, RefundState.PENDING.value]


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
    return [
        {"$set": {"surplusPayments": entries, "surplusAt": at, "surplusChecks": 0}},
        _push_step(origin, text, gateway_payment.id, at),
    ]


def record(
    payment_id: str, status: RefundState, refund_id: str | None, origin: Origin, at: datetime
) -> list[Stage]:
    """Return the update that stores what became of a surplus payment."""
    is_this = {"$eq": ["$$this.paymentId", {"$literal": payment_id}]}
    news = {"status": status.value, "refundId": {"$literal": refund_id}}
    changed = {"$cond": [is_this, {"$mergeObjects": ["$$this", news]}, "$$this"]}
    open_ones = {
        "$filter": {"input": "$surplusPayments", "cond": {"$in": ["$$this.status", _OPEN]}}
    }
    due: Any = at if status is RefundState.REQUESTED else "$surplusAt"
    return [
        {"$set": {"surplusPayments": {"$map": {"input": "$surplusPayments", "in": changed}}}},
        {"$set": {"surplusAt": {"$cond": [{"$eq": [open_ones, []]}, "$$REMOVE", due]}}},
        _push_step(origin, f"surplus refund {status.value}", payment_id, at),
    ]


def _push_step(origin: Origin, reason: str, payment_id: str, at: datetime) -> Stage:
    known = origin.make_stored_step(reason, at, payment_id)
    new = [{"$mergeObjects": [{"$literal": known}, {"status": "$status"}]}]
    history = {"$concatArrays": [{"$ifNull": ["$history", []]}, new]}
    return {"$set": {"history": history, "updatedAt": at}}
