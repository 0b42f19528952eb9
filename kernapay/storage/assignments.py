"""Several assignments at once: updates of one row each that bear to be repeated."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from bson import ObjectId
from bson.errors import BSONError
from mongoengine.errors import MongoEngineException
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from kernapay.core.crash_points import crash_point
from kernapay.storage.inserts import duplicate, refusals_of

Row = dict[str, Any]

_UNSENT: Final = (BSONError, MongoEngineException, OverflowError, TypeError, ValueError)


class Assignment(NamedTuple):
    """The conditions that one row fits, and its change: `$set` and `$unset`, or any that ends the conditions."""

    where: Row
    change: Row


def assign_all(
    collection: Collection[Row], makers: Sequence[Callable[[], Assignment]]
) -> list[bool | Exception | None]:
    """Make the assignments. Return for each its error, or whether it was made, None if that is not known. It blocks.

    MongoDB only says how many of a batch were made. See GroupCommit.
    """
    try:
        assignments = [make() for make in makers]
        if not _has_rivals(assignments):
            return _assign_together(collection, assignments)
    except _UNSENT as error:
        # One of them cannot be made or encoded. Nothing was sent, and the others do not fail with it.
        if len(makers) == 1:
            return [error]
    return [assign_all(collection, [make])[0] for make in makers]


def _assign_together(
    collection: Collection[Row], assignments: Sequence[Assignment]
) -> list[bool | Exception | None]:
    try:
        made = _write(collection, assignments)
    except DuplicateKeyError as error:
        return [duplicate(error.details or {})]
    except BulkWriteError as error:
        refused = refusals_of(error, len(assignments))
        return [refused.get(place) for place in range(len(assignments))]
    crash_point("batch.assigned")
    is_certain = made in (0, len(assignments))
    return [made > 0 if is_certain else None] * len(assignments)


def _has_rivals(assignments: Sequence[Assignment]) -> bool:
    """Return whether two are of one row: which of those was made must be known."""
    keys = [each.where.get("_id") for each in assignments]
    rows = [key for key in keys if isinstance(key, ObjectId | str)]
    return len(set(rows)) < len(rows)


def _write(collection: Collection[Row], assignments: Sequence[Assignment]) -> int:
    if len(assignments) == 1:
        return collection.update_one(*assignments[0]).matched_count
    updates = [UpdateOne(*assignment) for assignment in assignments]
    return collection.bulk_write(updates, ordered=False).matched_count
