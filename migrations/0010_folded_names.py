"""Users are found by the beginning of their name, however it is written."""

from typing import Any

from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database
from pymongo.errors import OperationFailure

_BATCH = 1000
_INDEX_NOT_FOUND = 27
_WITHOUT = {"nameFolded": None, "name": {"$type": "string"}}


def up(db: Database[dict[str, Any]]) -> None:
    # Here and not by `$toLower`, which knows ASCII letters only.
    changes = []
    for user in db.users.find(_WITHOUT, {"name": 1}, batch_size=_BATCH):
        same = {"_id": user["_id"], "name": user["name"]}
        changes.append(UpdateOne(same, {"$set": {"nameFolded": user["name"].casefold()}}))
        if len(changes) == _BATCH:
            db.users.bulk_write(changes, ordered=False)
            changes = []
    if changes:
        db.users.bulk_write(changes, ordered=False)
    db.users.create_index([("nameFolded", ASCENDING)], name="name_folded")
    _drop_index(db, "name")


def down(db: Database[dict[str, Any]]) -> None:
    db.users.create_index([("name", ASCENDING)], name="name")
    _drop_index(db, "name_folded")
    db.users.update_many({}, {"$unset": {"nameFolded": ""}})


def _drop_index(db: Database[dict[str, Any]], name: str) -> None:
    try:
        db.users.drop_index(name)
    except OperationFailure as error:
        # A run that was killed after this step is repeated from its beginning.
        if error.code != _INDEX_NOT_FOUND:
            raise
