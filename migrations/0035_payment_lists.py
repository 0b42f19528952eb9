"""Lists of payments by status, method, service type, provider and amount: the indexes hold all that a filter looks at.

One for a payer's list, and one for everybody's, which also does what `oldest` did. `user_newest` stays as it is: the
history of each request needs it small.

The new indexes are made in one pass over the rows, and the old one goes after that: a service that runs meanwhile is
never without.
"""

from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

_NEWEST = [("createdAt", DESCENDING), ("referenceId", DESCENDING)]
_FILTERED = [
    (name, ASCENDING) for name in ("status", "paymentMethod", "serviceType", "providerId", "amount")
]
_OLDEST = [("createdAt", ASCENDING), ("referenceId", ASCENDING)]
_NEW = {
    "payer_listed": [("userId", ASCENDING), *_NEWEST, *_FILTERED],
    "listed": [*_NEWEST, *_FILTERED],
}


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_indexes([IndexModel(keys, name=name) for name, keys in _NEW.items()])
    _drop(db, "oldest")


def down(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(_OLDEST, name="oldest")
    for name in _NEW:
        _drop(db, name)


def _drop(db: Database[dict[str, Any]], name: str) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if name in db.payments.index_information():
        db.payments.drop_index(name)
