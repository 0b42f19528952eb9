"""Rows that are numbered without gaps: a number exists because a row has it, so a crash loses none.

A unique index on (series, number) decides who has a number. Rows are inserted in their order, and the first that is
refused ends the insert: whoever takes the number after the last one leaves no hole, whatever others do meanwhile.
"""

from collections.abc import Sequence
from typing import Any, Final

from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from kernapay.core.errors import Unavailable
from kernapay.storage.inserts import duplicate

Row = dict[str, Any]

_NUMBER: Final = ("series", "number")
# Each attempt fails because another process has made progress.
_ATTEMPTS: Final = 50


def insert_numbered(
    collection: Collection[Row], rows: Sequence[Row], session: ClientSession
) -> None:
    """Insert rows that are not there yet, each with the next `number` of its `series`. It blocks.

    A read in the same session waits until a majority has them all, also those that another process has just inserted.

    Raises DuplicateRow for an index other than that of the number and of `_id`, and Unavailable.
    """
    by_series: dict[str, dict[Any, Row]] = {}
    for row in rows:
        by_series.setdefault(row["series"], {})[row["_id"]] = row
    for series, waiting in by_series.items():
        _insert_series(collection, series, list(waiting.values()), session)


def _insert_series(
    collection: Collection[Row], series: str, rows: list[Row], session: ClientSession
) -> None:
    # What a majority has may be older, and its next number taken.
    newest = collection.with_options(read_concern=ReadConcern("local"))
    waiting = {row["_id"]: row for row in rows}
    for _ in range(_ATTEMPTS):
        for known in newest.find({"_id": {"$in": list(waiting)}}, {"_id": 1}, session=session):
            del waiting[known["_id"]]
        if not waiting:
            return
        last = newest.find_one(
            {"series": series}, {"number": 1}, sort=[("number", -1)], session=session
        )
        first = last["number"] + 1 if last else 1
        numbered = [{**row, "number": first + n} for n, row in enumerate(waiting.values())]
        try:
            collection.insert_many(numbered, ordered=True, session=session)
        except BulkWriteError as error:
            _raise_unless_taken(error)
        else:
            return
    raise Unavailable(
        "Too many numbers are being given. Repeat the call in a second.", retry_after=1
    )


def _raise_unless_taken(error: BulkWriteError) -> None:
    """Return if another process was faster. Raises DuplicateRow, Unavailable."""
    details = error.details or {}
    refusals = details.get("writeErrors", ())
    if details.get("writeConcernErrors") or not refusals:
        raise Unavailable(
            "The database did not confirm the write. Repeat the call: that is safe."
        ) from error
    if tuple(refusals[0].get("keyPattern", ())) not in (("_id",), _NUMBER):
        raise duplicate(refusals[0]) from error
