"""The update that enters a row of a bank settlement into a payment. As an aggregation pipeline it is atomic."""

from typing import Any

from kernapay.payments.models import Payout

Stage = dict[str, Any]
_KEYS = ("settlementId", "entityId", "type")


def record(payout: Payout) -> list[Stage]:
    """Return the update that enters the row once. A repeat adds only what was null before, such as the UTR.

    The payment is settled when the row is that of the gateway's payment that counts.
    """
    entry = payout.to_mongo()
    # $literal: in a pipeline, MongoDB reads text that starts with a dollar sign as a field.
    same = {"$and": [{"$eq": [f"$$this.{name}", {"$literal": entry[name]}]} for name in _KEYS]}
    merged = {"$mergeObjects": [{"$literal": entry}, _without_nulls("$$this")]}
    known = {"$ifNull": ["$settlements", []]}
    is_known = {"$gt": [{"$size": {"$filter": {"input": known, "cond": same}}}, 0]}
    replaced = {"$map": {"input": known, "in": {"$cond": [same, merged, "$$this"]}}}
    added = {"$concatArrays": [known, [{"$literal": entry}]]}
    stages: list[Stage] = [{"$set": {"settlements": {"$cond": [is_known, replaced, added]}}}]
    if payout.type == "payment":
        counts = {"$eq": ["$razorpayPaymentId", {"$literal": payout.entity_id}]}
        stages.append({"$set": {"settledAt": {"$cond": [counts, payout.settled_at, "$settledAt"]}}})
    return stages


def withdraw(settlement_id: str) -> list[Stage]:
    """Return the update that removes the rows of a settlement. A repeat changes nothing.

    The payment stays settled only if another settlement has a row for it.
    """
    known = {"$ifNull": ["$settlements", []]}
    is_other = {"$ne": ["$$this.settlementId", {"$literal": settlement_id}]}
    counts = {
        "$and": [
            {"$eq": ["$$this.type", "payment"]},
            {"$eq": ["$$this.entityId", "$razorpayPaymentId"]},
        ]
    }
    own = {"$filter": {"input": "$settlements", "cond": counts}}
    times = {"$map": {"input": own, "in": "$$this.settledAt"}}
    return [
        {"$set": {"settlements": {"$filter": {"input": known, "cond": is_other}}}},
        {"$set": {"settledAt": {"$max": times}}},
    ]


def _without_nulls(document: str) -> Stage:
    is_set = {"$ne": ["$$pair.v", None]}
    pairs = {"$filter": {"input": {"$objectToArray": document}, "as": "pair", "cond": is_set}}
    return {"$arrayToObject": pairs}
