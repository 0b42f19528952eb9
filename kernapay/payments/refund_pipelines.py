"""Updates that change one refund and add up all refunds. As aggregation pipelines they are atomic."""

from datetime import datetime
from typing import Any, Final

from kernapay.gateway.base import GatewayRefund
from kernapay.payments.evidence import Origin
from kernapay.payments.history import Stage, append_step
from kernapay.payments.states import RefundState, RefundStatus, Status

# A refund moves only forward in this order. A bank may still return a processed one, so `failed` is last.
_RANK: Final = [state.value for state in RefundState]
_FAILED: Final = RefundState.FAILED.value
_REQUESTED: Final = RefundState.REQUESTED.value
_PROCESSED: Final = RefundState.PROCESSED.value
# What a step stores of its refund: see RefundStep.
_TOLD: Final = ("refundId", "receipt", "amount", "status", "failure", "speedProcessed", "arn")
# What came in, which may be more or less than what was ordered. Older rows have only the latter.
_CAPTURED: Final = {"$ifNull": ["$amountPaid", "$amount"]}


# What disputes about the payment that counts keep from being refunded.
_HELD: Final[Stage] = {
    "$sum": {
        "$map": {
            "input": {
                "$filter": {
                    "input": {"$ifNull": ["$disputes", []]},
                    "cond": {"$eq": ["$$this.paymentId", "$razorpayPaymentId"]},
                }
            },
            "in": "$$this.held",
        }
    }
}


def admits(amount: int, max_refunds: int) -> Stage:
    """Return the condition that a payment admits one more refund: of what remains, and by the number of refunds.

    The last of `max_refunds` has to be all that remains, so that everything can be returned. If the gateway refuses it,
    it may be tried again, but not without end.
    """
    refunds = {"$ifNull": ["$refunds", []]}
    is_active = {"$ne": ["$$this.status", _FAILED]}
    active = {"$filter": {"input": refunds, "cond": is_active}}
    total = {"$add": [{"$sum": {"$map": {"input": active, "in": "$$this.amount"}}}, _HELD, amount]}
    count = {"$size": refunds}
    has_room = {"$lt": [count, max_refunds - 1]}
    is_rest = {"$and": [{"$eq": [total, _CAPTURED]}, {"$lt": [count, 2 * max_refunds]}]}
    return {"$and": [{"$lte": [total, _CAPTURED]}, {"$or": [has_room, is_rest]}]}


def record(refund: GatewayRefund, origin: Origin, payment_id: str, at: datetime) -> list[Stage]:
    """Return the update that stores the gateway's state of a refund.

    It finds the refund by its id or our receipt, or adds a new one. `payment_id` is the gateway's.
    An event may contain our refund without its receipt. It is stored as a new refund until other data has the receipt.
    """
    status = refund.status if refund.status in _RANK else RefundState.PENDING.value
    # $literal: in a pipeline, MongoDB reads text that starts with a dollar sign as a field.
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
    told = {"speedProcessed": refund.speed_processed, "arn": refund.arn}
    facts = {name: value for name, value in told.items() if value is not None}
    known: Any = "$refunds"
    same: dict[str, Any] = {"$eq": ["$$this.refundId", refund_id]}
    if refund.receipt:
        is_ours = {"$eq": ["$$this.receipt", {"$literal": refund.receipt}]}
        ours = {"$filter": {"input": "$refunds", "cond": is_ours}}
        others = {"$filter": {"input": "$refunds", "cond": {"$or": [is_ours, {"$not": [same]}]}}}
        known = {"$cond": [{"$gt": [{"$size": ours}, 0]}, others, "$refunds"]}
        same = {"$or": [same, is_ours]}
    # The gateway's first state always replaces ours. We may have marked the refund as failed although it was made.
    is_first_state = {"$eq": [{"$ifNull": ["$$this.refundId", None]}, None]}
    rank = {"$indexOfArray": [_RANK, status]}
    is_newer = {
        "$or": [is_first_state, {"$gt": [rank, {"$indexOfArray": [_RANK, "$$this.status"]}]}]
    }
    merged = {
        "$mergeObjects": [
            "$$this",
            {"refundId": refund_id},
            {"$cond": [is_newer, {"status": status, "failure": None, "updatedAt": at}, {}]},
            {"$literal": facts},
        ]
    }
    matches = {"$filter": {"input": known, "cond": same}}
    refunds = {
        "$cond": [
            {"$eq": [{"$size": matches}, 0]},
            {"$concatArrays": [known, [{"$literal": {**entry, **facts}}]]},
            _replace_where(same, merged, known),
        ]
    }
    reason = f"refund {status}: {refund.amount}"
    return _build_stages(refunds, origin.make_stored_step(reason, at, payment_id))


def refuse(
    receipt: str, failure: str, origin: Origin, payment_id: str | None, at: datetime
) -> list[Stage]:
    """Return the update that marks a refund as failed and so releases its amount."""
    is_waiting = {
        "$and": [
            {"$eq": ["$$this.receipt", receipt]},
            {"$eq": ["$$this.status", _REQUESTED]},
            {"$eq": [{"$ifNull": ["$$this.refundId", None]}, None]},
        ]
    }
    failure_fields = {"status": _FAILED, "failure": {"$literal": failure}, "updatedAt": at}
    refunds = _replace_where(is_waiting, {"$mergeObjects": ["$$this", failure_fields]})
    return _build_stages(refunds, origin.make_stored_step("refund refused", at, payment_id))


def _replace_where(condition: Any, value: Any, refunds: Any = "$refunds") -> dict[str, Any]:
    return {"$map": {"input": refunds, "in": {"$cond": [condition, value, "$$this"]}}}


def _sum_amounts(*statuses: str) -> dict[str, Any]:
    refunds = {"$filter": {"input": "$refunds", "cond": {"$in": ["$$this.status", list(statuses)]}}}
    return {"$sum": {"$map": {"input": refunds, "in": "$$this.amount"}}}


def _changed_refund() -> dict[str, Any]:
    """Return the refund that this update changes or adds, without the fields that events never have."""
    is_new = {"$not": [{"$in": ["$$this", {"$ifNull": ["$_before", []]}]}]}
    changed = {"$first": {"$filter": {"input": "$refunds", "cond": is_new}}}
    facts = {name: f"$$changed.{name}" for name in _TOLD}
    # None changes when two entries of one refund become one.
    is_none = {"$eq": [{"$type": "$$changed"}, "missing"]}
    found = {"$cond": [is_none, "$$REMOVE", facts]}
    return {"$let": {"vars": {"changed": changed}, "in": found}}


def _build_stages(refunds: Any, step: Stage) -> list[Stage]:
    """Return the stages: set the refunds, add them up, derive both statuses, append the step if a refund changed."""
    is_complete = {"$gte": ["$amountRefunded", _CAPTURED]}
    is_under_way = {"$gt": [_sum_amounts(*(state for state in _RANK if state != _FAILED)), 0]}
    refund_status = {
        "$switch": {
            "branches": [
                {"case": is_complete, "then": RefundStatus.COMPLETED.value},
                {"case": is_under_way, "then": RefundStatus.REQUESTED.value},
            ],
            "default": RefundStatus.NOT_REQUESTED.value,
        }
    }
    # `refunded` means that the whole amount was returned. When the bank returns a refund, it is `success` again.
    is_paid = {"$in": ["$status", [Status.SUCCESS.value, Status.REFUNDED.value]]}
    paid_status = {"$cond": [is_complete, Status.REFUNDED.value, Status.SUCCESS.value]}
    computed = {
        "status": "$status",
        "amountRefunded": "$amountRefunded",
        "refundStatus": "$refundStatus",
        "refund": _changed_refund(),
    }
    is_same = {"$eq": ["$refunds", {"$ifNull": ["$_before", []]}]}
    return [
        {"$set": {"refunds": {"$ifNull": ["$refunds", []]}, "_before": "$refunds"}},
        {"$set": {"refunds": refunds}},
        {"$set": {"amountRefunded": _sum_amounts(_PROCESSED)}},
        {
            "$set": {
                "refundStatus": refund_status,
                "status": {"$cond": [is_paid, paid_status, "$status"]},
            }
        },
        append_step(step, computed, unless=is_same),
        {"$unset": "_before"},
    ]
