"""Payments are found by a value of their notes: each has the hashes of its values, with the time that orders them.

Partial: payments without notes need no entry. Rows of another system may have a text as notes, which counts as a value.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.database import Database

_NAME = "note_hashes"
_BATCH = 1000
# As the service bounds and cuts them.
_MOST = 15
_LENGTH = 22
# A run that was killed goes on with the rows that are left.
_LEFT = {"noteHashes": None, "notes": {"$nin": [None, {}, ""]}}


def up(db: Database[dict[str, Any]]) -> None:
    # Rows whose `_id` is no ObjectId, which the service does not read either, are not compared with one.
    last = ObjectId(bytes(12))
    while rows := _next_rows(db, last):
        if changes := list(_changes(rows)):
            db.payments.bulk_write(changes, ordered=False)
        last = rows[-1]["_id"]
    db.payments.create_index(
        [("noteHashes", ASCENDING), ("createdAt", DESCENDING)],
        name=_NAME,
        partialFilterExpression={"noteHashes": {"$exists": True}},
    )


def down(db: Database[dict[str, Any]]) -> None:
    """Drop the index. The hashes stay: the version before does not read them."""
    # It is gone if an earlier run ended between this and the note that it was made.
    if _NAME in db.payments.index_information():
        db.payments.drop_index(_NAME)


def _next_rows(db: Database[dict[str, Any]], last: ObjectId) -> list[dict[str, Any]]:
    where = {"_id": {"$gt": last}, **_LEFT}
    columns = {"userId": 1, "notes": 1}
    return list(db.payments.find(where, columns, sort=[("_id", ASCENDING)], limit=_BATCH))


def _changes(rows: list[dict[str, Any]]) -> Iterator[UpdateOne]:
    for row in rows:
        if hashes := _hash_notes(row["notes"]):
            # With the shard key, so that a sharded collection asks one shard.
            same = {"_id": row["_id"], "userId": row.get("userId")}
            yield UpdateOne(same, {"$set": {"noteHashes": hashes}})


def _hash_notes(notes: Any) -> list[str]:
    values = list(notes.values()) if isinstance(notes, Mapping) else [notes]
    texts = [str(value).strip() for value in values if value is not None]
    return sorted({_hash(text) for text in [text for text in texts if text][:_MOST]})


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:_LENGTH]
