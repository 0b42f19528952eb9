"""Providers: who was paid is judged, not claimed, and moves money only once an administrator has approved the account.

Accounts that exist start unapproved. Of earlier payments, those are judged of which the database can tell that
`providerId` named a PROVIDER account when the payer wrote it. All others give nobody anything.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

_BATCH = 1000
_PROVIDERS = {"type": "PROVIDER"}


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [
            ("payeeId", ASCENDING),
            ("status", ASCENDING),
            ("createdAt", DESCENDING),
            ("referenceId", DESCENDING),
        ],
        name="payee_newest",
        partialFilterExpression={"payeeId": {"$exists": True}},
    )
    db.users.create_index(
        [
            ("type", ASCENDING),
            ("isApprovedProvider", ASCENDING),
            ("createdAt", DESCENDING),
            ("_id", DESCENDING),
        ],
        name="provider_approval",
        partialFilterExpression=_PROVIDERS,
    )
    # A run that was killed is repeated: it must not end an approval that was given meanwhile.
    db.users.update_many(
        {**_PROVIDERS, "isApprovedProvider": {"$exists": False}},
        {"$set": {"isApprovedProvider": False}},
    )
    for account in db.users.find(_PROVIDERS, {"createdAt": 1}):
        for batch in _payments_to(db, account):
            db.payments.update_many(
                {"_id": {"$in": batch}, "payeeId": {"$exists": False}},
                {"$set": {"payeeId": account["_id"]}},
            )


def down(db: Database[dict[str, Any]]) -> None:
    """Drop the indexes and the approvals. The judgements stay: the version before does not read them."""
    db.users.drop_index("provider_approval")
    db.payments.drop_index("payee_newest")
    db.users.update_many({}, {"$unset": {"isApprovedProvider": ""}})


def _payments_to(db: Database[dict[str, Any]], account: dict[str, Any]) -> Iterator[list[ObjectId]]:
    since = _provider_since(db, account)
    if since is None:
        return
    where = {
        "providerId": str(account["_id"]),
        "payeeId": {"$exists": False},
        "userId": {"$ne": account["_id"]},
        "createdAt": {"$gte": since},
    }
    batch = []
    for payment in db.payments.find(where, {"_id": 1}, batch_size=_BATCH):
        batch.append(payment["_id"])
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _provider_since(db: Database[dict[str, Any]], account: dict[str, Any]) -> datetime | None:
    """Return since when the account is a PROVIDER: since its creation, or its last change of role."""
    opened: datetime | None = account.get("createdAt")
    changed = db.audit_log.find_one(
        {
            "target": f"user:{account['_id']}",
            "action": "user.change",
            "$expr": {"$ne": ["$before.type", "$after.type"]},
        },
        sort=[("createdAt", DESCENDING), ("_id", DESCENDING)],
    )
    if opened is None or changed is None:
        return opened
    changed_at: datetime = changed["createdAt"]
    return max(opened, changed_at)
