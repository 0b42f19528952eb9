"""Inserts of several rows at once, each with its own outcome."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError

from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, Unavailable

Row = dict[str, Any]

_DUPLICATE_KEY: Final = 11000


class DuplicateRow(Conflict):
    """A unique index refused the row. `index_fields` are the names of its fields in the database."""

    code = "duplicate"

    def __init__(self, index_fields: Sequence[str]) -> None:
        super().__init__("A record with the same key exists already.")
        self.index_fields = tuple(index_fields)


class _Encoded(NamedTuple):
    id: Any
    row: RawBSONDocument


def insert_all(collection: Collection[Row], makers: Sequence[Callable[[], Row]]) -> list[Any]:
    """Insert the rows, and return the id or the error of each. It blocks. See GroupCommit."""
    encoded = [_encode(collection, make) for make in makers]
    rows = [each for each in encoded if isinstance(each, _Encoded)]
    refused = _write(collection, [each.row for each in rows]) if rows else {}
    crash_point("batch.inserted")
    written = iter([refused.get(place, each.id) for place, each in enumerate(rows)])
    return [next(written) if isinstance(each, _Encoded) else each for each in encoded]


def _encode(collection: Collection[Row], make: Callable[[], Row]) -> _Encoded | Exception:
    # Here, so that a row that cannot be encoded fails alone.
    try:
        row = make()
        row["_id"] = row.get("_id") or ObjectId()
        return _Encoded(
            row["_id"], RawBSONDocument(bson.encode(row, False, collection.codec_options))
        )
    except Exception as error:
        return error


def _write(collection: Collection[Row], rows: Sequence[Any]) -> dict[int, Exception]:
    """Return the errors of the rows that were refused, by their places."""
    try:
        if len(rows) == 1:
            collection.insert_one(rows[0])
        else:
            collection.insert_many(rows, ordered=False)
    except DuplicateKeyError as error:
        return {0: duplicate(error.details or {})}
    except BulkWriteError as error:
        return refusals_of(error, len(rows))
    return {}


def refusals_of(error: BulkWriteError, count: int) -> dict[int, Exception]:
    """Return the errors of those of `count` writes that failed, by their places."""
    refused = {each["index"]: _refusal(each) for each in error.details["writeErrors"]}
    if not error.details["writeConcernErrors"]:
        return refused
    # The others are written, but may be rolled back.
    unknown = Unavailable("The database did not confirm the write. Repeat the call: that is safe.")
    return {place: refused.get(place, unknown) for place in range(count)}


def _refusal(details: Row) -> Exception:
    if details.get("code") == _DUPLICATE_KEY:
        return duplicate(details)
    return WriteError(details.get("errmsg", ""), details.get("code"), details)


def duplicate(details: Mapping[str, Any]) -> DuplicateRow:
    """Return the error for a row that a unique index refused, from the server's details."""
    return DuplicateRow(list(details.get("keyPattern", ())))
