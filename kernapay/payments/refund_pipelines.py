"""The updates that change a refund and add all refunds up: aggregation pipelines, so each is atomic."""

from datetime import datetime
from typing import Any, Final

from kernapay.gateway.base import GatewayRefund
from kernapay.payments.evidence import Origin
from kernapay.payments.states import RefundState, RefundStatus, Status

Stage = dict[str, Any]

# A refund only moves forward; a bank may still send a processed one back.
_RANK: Final = [state.value for state in RefundState]
_FAILED: Final = RefundState.FAILED.value
_REQUESTED: Final = RefundState.REQUESTED.value
_PROCESSED: Final = RefundState.PROCESSED.value


def record(refund: GatewayRefund, origin: Origin, payment_id: str, at: datetime) -> list[Stage]:
    """Enter what the gateway says of a refund: one known by its id or by our receipt, or a new one.

    `payment_id` is the gateway's.
    """
    status = refund.status if refund.status in _RANK else RefundState.PENDING.value
    # Literals: in a pipeline, text that starts with a dollar would be read as a field.
    refund_id = {"$literal": refund.id}
    entry = {
        "refundId": refund.id,
        "receipt": refund.receipt,
        "amount": refund.amount,
        "status": status,
        "source": origin.source.value,
        "createdAt": at,
        "updatedAt": at,
    }
    same: dict[str, Any] = {"$eq": ["$$this.refundId", refund_id]}
    if refund.receipt:
        same = {"$or": [same, {"$eq": ["$$this.receipt", {"$literal": refund.receipt}]}]}
    # Whatever the gateway says first counts more than what we made of its silence or refusal.
    first_word = {"$eq": [{"$ifNull": ["$$this.refundId", None]}, None]}
    rank = {"$indexOfArray": [_RANK, status]}
    newer = {"$or": [first_word, {"$gt": [rank, {"$indexOfArray": [_RANK, "$$this.status"]}]}]}
    merged = {
        "$mergeObjects": [
            "$$this",
            {"refundId": refund_id},
            {"$cond": [newer, {"status": status, "failure": None, "updatedAt": at}, {}]},
        ]
    }
    known = {"$filter": {"input": "$refunds", "cond": same}}
    changed = {
        "$cond": [
            {"$eq": [{"$size": known}, 0]},
            {"$concatArrays": ["$refunds", [{"$literal": entry}]]},
            _mapped(same, merged),
        ]
    }
    reason = f"refund {status}: {refund.amount}"
    return _stages(changed, _step(origin, reason, at, payment_id))


def refuse(receipt: str, failure: str, origin: Origin, at: datetime) -> list[Stage]:
    """Release a reservation that the gateway refused for good."""
    waiting = {
        "$and": [
            {"$eq": ["$$this.receipt", receipt]},
            {"$eq": ["$$this.status", _REQUESTED]},
            {"$eq": [{"$ifNull": ["$$this.refundId", None]}, None]},
        ]
    }
    failed = {"status": _FAILED, "failure": {"$literal": failure}, "updatedAt": at}
    changed = _mapped(waiting, {"$mergeObjects": ["$$this", failed]})
    return _stages(changed, _step(origin, "refund refused", at))


def _mapped(condition: Any, value: Any) -> dict[str, Any]:
    return {"$map": {"input": "$refunds", "in": {"$cond": [condition, value, "$$this"]}}}


def _sum_of(*statuses: str) -> dict[str, Any]:
    counted = {"$filter": {"input": "$refunds", "cond": {"$in": ["$$this.status", list(statuses)]}}}
    return {"$sum": {"$map": {"input": counted, "in": "$$this.amount"}}}


def _step(origin: Origin, reason: str, at: datetime, payment_id: str | None = None) -> Stage:
    step = {
        "updatedAt": at,
        "source": origin.source.value,
        "event": origin.event,
        "eventId": origin.event_id,
        "actor": origin.actor,
        "razorpayPaymentId": payment_id,
        "reason": reason,
    }
    return {name: value for name, value in step.items() if value is not None}


def _stages(refunds: Any, step: Stage) -> list[Stage]:
    """Change the refunds, add them up, derive both statuses, and push the step if anything changed."""
    complete = {"$gte": ["$amountRefunded", "$amount"]}
    under_way = {"$gt": [_sum_of(*(state for state in _RANK if state != _FAILED)), 0]}
    refund_status = {
        "$switch": {
            "branches": [
                {"case": complete, "then": RefundStatus.COMPLETED.value},
                {"case": under_way, "then": RefundStatus.REQUESTED.value},
            ],
            "default": RefundStatus.NOT_REQUESTED.value,
        }
    }
    # `refunded` says that everything is returned: back to success when the bank sends money back.
    paid = {"$in": ["$status", [Status.SUCCESS.value, Status.REFUNDED.value]]}
    returned = {"$cond": [complete, Status.REFUNDED.value, Status.SUCCESS.value]}
    entered = [{"$mergeObjects": [{"$literal": step}, {"status": "$status"}]}]
    return [
        {"$set": {"refunds": {"$ifNull": ["$refunds", []]}, "_before": "$refunds"}},
        {"$set": {"refunds": refunds}},
        {"$set": {"amountRefunded": _sum_of(_PROCESSED)}},
        {
            "$set": {
                "refundStatus": refund_status,
                "status": {"$cond": [paid, returned, "$status"]},
            }
        },
        {
            "$set": {
                "updatedAt": step["updatedAt"],
                "history": {
                    "$cond": [
                        {"$eq": ["$refunds", {"$ifNull": ["$_before", []]}]},
                        "$history",
                        {"$concatArrays": [{"$ifNull": ["$history", []]}, entered]},
                    ]
                },
            }
        },
        {"$unset": "_before"},
    ]
