"""Lists of payments by late money, disputes and metadata, and their totals: the indexes hold all that is added up.

`payer_filtered` and `filtered` take the place of `payer_listed` and `listed`. `payer_metadata` and `metadata` have an
entry for each hash of a payment's metadata, and none for payments without.

Earlier payments get their marks and hashes by batches of ids, so that no update takes minutes, and a run that was
killed finds little left. The marks are those that the ledger sets with the change itself.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, UpdateOne
from pymongo.database import Database

_BATCH = 1000
# As the service cuts them.
_LENGTH = 22
_NEWEST = [("createdAt", DESCENDING), ("referenceId", DESCENDING)]
_LISTED = [
    (name, ASCENDING) for name in ("status", "paymentMethod", "serviceType", "providerId", "amount")
]
_FILTERED = [
    *_LISTED,
    *(
        (name, ASCENDING)
        for name in ("late", "disputed", "currency", "amountPaid", "amountRefunded")
    ),
]
_PAYER = ("userId", ASCENDING)
_HASHES = ("metadataHashes", ASCENDING)
_NEW = {
    "payer_filtered": [_PAYER, *_NEWEST, *_FILTERED],
    "filtered": [*_NEWEST, *_FILTERED],
}
_OF_METADATA = {
    "payer_metadata": [_PAYER, _HASHES, *_NEWEST, *_FILTERED],
    "metadata": [_HASHES, *_NEWEST, *_FILTERED],
}
_OLD = {
    "payer_listed": [_PAYER, *_NEWEST, *_LISTED],
    "listed": [*_NEWEST, *_LISTED],
}
_IS_LATE = {
    "late": {"$ne": True},
    "$or": [
        {"history.late": True},
        {"surplusPayments.reason": {"$in": ["late_payment", "cancelled_payment"]}},
        {"mismatches.reason": "late_payment"},
    ],
}
_IS_DISPUTED = {"disputed": {"$ne": True}, "disputes.disputeId": {"$exists": True}}
_NOT_HASHED = {"metadataHashes": None, "metadata": {"$type": "object", "$ne": {}}}


def up(db: Database[dict[str, Any]]) -> None:
    for ids in _batches_of_ids(db):
        for where, change in ((_IS_LATE, {"late": True}), (_IS_DISPUTED, {"disputed": True})):
            db.payments.update_many({"_id": {"$in": ids}, **where}, {"$set": change})
        rows = db.payments.find({"_id": {"$in": ids}, **_NOT_HASHED}, {"userId": 1, "metadata": 1})
        if changes := list(_hash_all(rows)):
            db.payments.bulk_write(changes, ordered=False)
    has_hashes = {"metadataHashes": {"$exists": True}}
    db.payments.create_indexes(
        [
            *(IndexModel(keys, name=name) for name, keys in _NEW.items()),
            *(
                IndexModel(keys, name=name, partialFilterExpression=has_hashes)
                for name, keys in _OF_METADATA.items()
            ),
        ]
    )
    _drop(db, *_OLD)


def down(db: Database[dict[str, Any]]) -> None:
    """Make the indexes as they were. Marks and hashes stay: the version before does not read them."""
    db.payments.create_indexes([IndexModel(keys, name=name) for name, keys in _OLD.items()])
    _drop(db, *_NEW, *_OF_METADATA)


def _drop(db: Database[dict[str, Any]], *names: str) -> None:
    # They are gone if an earlier run ended between this and the note that it was made.
    for name in set(names) & set(db.payments.index_information()):
        db.payments.drop_index(name)


def _batches_of_ids(db: Database[dict[str, Any]]) -> Iterator[list[Any]]:
    # One cursor, whatever the types of the ids are. It reads the index alone, and most rows need nothing.
    ids: list[Any] = []
    for row in db.payments.find({}, {"_id": 1}, sort=[("_id", ASCENDING)], batch_size=_BATCH):
        ids.append(row["_id"])
        if len(ids) == _BATCH:
            yield ids
            ids = []
    if ids:
        yield ids


def _hash_all(rows: Any) -> Iterator[UpdateOne]:
    for row in rows:
        if hashes := _hash_metadata(row["metadata"]):
            # With the shard key, so that a sharded collection asks one shard.
            same = {"_id": row["_id"], "userId": row.get("userId")}
            yield UpdateOne(same, {"$set": {"metadataHashes": hashes}})


def _hash_metadata(metadata: Mapping[str, Any]) -> list[str]:
    kinds = {bool: "boolean", int: "integer", str: "text"}
    hashes = []
    for name, value in metadata.items():
        kind = next((kinds[each] for each in kinds if isinstance(value, each)), None)
        if kind is not None:
            digest = hashlib.sha256(f"{name}\0{kind}\0{value}".encode()).digest()
            hashes.append(base64.urlsafe_b64encode(digest).decode()[:_LENGTH])
    return sorted(hashes)
