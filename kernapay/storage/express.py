"""Recognise the database of the Express service, which KernaPay replaces: it is imported, never migrated in place."""

from typing import Any, Final

from pymongo.database import Database

# Indexes as Mongoose names them. The second is of the service's older form too.
_INDEXES: Final = ("referenceId_1", "idempotencyKey_1")
_COLLECTIONS: Final = ("payments", "users")
_VERSION_KEY: Final = "__v"  # Mongoose writes it into every row
_FIRST_PAYMENTS: Final = "0003_payments"

IN_PLACE: Final = "this is the database of an Express service, and nothing was changed"
FIX: Final = (
    "leave that database as it is. Name another, empty one in MONGODB_URL, run kernapay migrate up, "
    "then kernapay import express --from <the URL of this database> --dry-run"
)


def is_express(db: Database[dict[str, Any]]) -> bool:
    """Return whether the rows are those of an Express service."""
    indexes = db[_COLLECTIONS[0]].index_information()
    if any(name in indexes for name in _INDEXES):
        return True
    newest = (db[name].find_one(sort=[("_id", -1)]) for name in _COLLECTIONS)
    return any(row is not None and _VERSION_KEY in row for row in newest)


def is_in_place(db: Database[dict[str, Any]], pending: list[str]) -> bool:
    """Return whether these migrations would make KernaPay's database of that of an Express service."""
    return _FIRST_PAYMENTS in pending and is_express(db)
