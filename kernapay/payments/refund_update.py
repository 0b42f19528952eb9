"""The one update that enters a refund and adds all refunds up: an aggregation pipeline, so it is atomic."""

from datetime import datetime
from typing import Any, Final

from kernapay.gateway.base import GatewayRefund
from kernapay.payments.states import RefundStatus, Source, Status

# A refund only moves forward; a bank may still send a processed one back.
_RANK: Final = ("requested", "pending", "processed", "failed")


def _rank(status: Any) -> dict[str, Any]:
    return {"$indexOfArray": [list(_RANK), status]}


def _sum_of(*statuses: str) -> dict[str, Any]:
    counted = {"$filter": {"input": "$refunds", "cond": {"$in": ["$$this.status", list(statuses)]}}}
    return {"$sum": {"$map": {"input": counted, "in": "$$this.amount"}}}


def refund_update(
    refund: GatewayRefund, step: dict[str, Any], at: datetime
) -> list[dict[str, Any]]:
    """Build the pipeline: match by the gateway's id or by our receipt, then add up, then settle the status."""
    status = refund.status if refund.status in _RANK else "pending"
    source: Source = step["source"]
    entry = {
        "refundId": refund.id,
        "receipt": refund.receipt,
        "amount": refund.amount,
        "status": status,
        "source": source.value,
        "createdAt": at,
        "updatedAt": at,
    }
    # Literals: in a pipeline, text that starts with a dollar would be read as a field.
    refund_id = {"$literal": refund.id}
    same: dict[str, Any] = {"$eq": ["$$this.refundId", refund_id]}
    if refund.receipt:
        same = {"$or": [same, {"$eq": ["$$this.receipt", {"$literal": refund.receipt}]}]}
    newer = {"$gt": [_rank(status), _rank("$$this.status")]}
    merged = {
        "$mergeObjects": [
            "$$this",
            {"refundId": refund_id},
            {"$cond": [newer, {"status": status, "updatedAt": at}, {}]},
        ]
    }
    known = {"$filter": {"input": "$refunds", "cond": same}}
    history = {
        "updatedAt": at,
        **{_camel(name): getattr(value, "value", value) for name, value in step.items()},
        "reason": f"refund {status}: {refund.amount}",
    }
    return [
        {"$set": {"refunds": {"$ifNull": ["$refunds", []]}, "_before": "$refunds"}},
        {
            "$set": {
                "refunds": {
                    "$cond": [
                        {"$eq": [{"$size": known}, 0]},
                        {"$concatArrays": ["$refunds", [{"$literal": entry}]]},
                        {
                            "$map": {
                                "input": "$refunds",
                                "in": {"$cond": [same, merged, "$$this"]},
                            }
                        },
                    ]
                }
            }
        },
        {"$set": {"amountRefunded": _sum_of("processed")}},
        {
            "$set": {
                "refundStatus": {
                    "$switch": {
                        "branches": [
                            {
                                "case": {"$gte": ["$amountRefunded", "$amount"]},
                                "then": RefundStatus.COMPLETED.value,
                            },
                            {
                                "case": {"$gt": [_sum_of("requested", "pending", "processed"), 0]},
                                "then": RefundStatus.REQUESTED.value,
                            },
                        ],
                        "default": RefundStatus.NOT_REQUESTED.value,
                    }
                },
                # Back to success when the bank sent money back: `refunded` says that everything is returned.
                "status": {
                    "$cond": [
                        {"$in": ["$status", [Status.SUCCESS.value, Status.REFUNDED.value]]},
                        {
                            "$cond": [
                                {"$gte": ["$amountRefunded", "$amount"]},
                                Status.REFUNDED.value,
                                Status.SUCCESS.value,
                            ]
                        },
                        "$status",
                    ]
                },
            }
        },
        {
            "$set": {
                "updatedAt": at,
                "history": {
                    "$cond": [
                        {"$eq": ["$refunds", {"$ifNull": ["$_before", []]}]},
                        "$history",
                        {
                            "$concatArrays": [
                                {"$ifNull": ["$history", []]},
                                [{"$mergeObjects": [{"$literal": history}, {"status": "$status"}]}],
                            ]
                        },
                    ]
                },
            }
        },
        {"$unset": "_before"},
    ]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
