"""Several assignments at once: updates that only set or unset fields of one row."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

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
    """The conditions that one row fits, and its change: only `$set` and `$unset`, which bear to be repeated."""

    where: Row
    change: Row


def assign_all(
    collection: Collection[Row], makers: Sequence[Callable[[], Assignment]]
) -> list[bool | Exception]:
    """Make the assignments. Return for each its error, or whether its row is known to have the values. It blocks.

    False means unknown: MongoDB only says how many rows of a batch fitted. See GroupCommit.
    """
    try:
        fitted = _write(collection, [make() for make in makers])
    except DuplicateKeyError as error:
        return [duplicate(error.details or {})]
    except BulkWriteError as error:
        refused = refusals_of(error, len(makers))
        return [refused.get(place, False) for place in range(len(makers))]
    except _UNSENT as error:
        # One of them cannot be made or encoded. Nothing was sent, and the others do not fail with it.
        return [error] if len(makers) == 1 else [assign_all(collection, [m])[0] for m in makers]
    crash_point("batch.assigned")
    return [fitted == len(makers)] * len(makers)


def _write(collection: Collection[Row], assignments: Sequence[Assignment]) -> int:
    if len(assignments) == 1:
        return collection.update_one(*assignments[0]).matched_count
    updates = [UpdateOne(*assignment) for assignment in assignments]
    return collection.bulk_write(updates, ordered=False).matched_count
