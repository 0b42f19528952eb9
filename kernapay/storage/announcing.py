"""Rows with a marker of their change: the update that changes a row sets `announce` to the present time.

What is told, and to whom, is the relay's business. Here it finds such rows, and takes the marker away.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId
from pymongo import ASCENDING

from kernapay.storage.codecs import VIEW_CODEC
from kernapay.storage.reading import MAX_TIME_MS, DocumentT, ViewT
from kernapay.storage.repository import Repository, Row, Rows
from kernapay.storage.unreadable import UnreadableRow

# MongoDB uses a partial index only where the query proves the index's filter.
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_IS_MARKED: Final = {"announce": {"$gt": _EPOCH}}


class Announcing(Repository[DocumentT]):
    """A base of repositories whose rows carry the marker."""

    async def due_to_announce(
        self, view: type[ViewT], at: datetime, count: int
    ) -> tuple[Rows[ViewT], Rows[Any]]:
        """SELECT the rows whose marker is due, oldest first. Return also the ids of those that cannot be read."""
        due = {"announce": {"$gt": _EPOCH, "$lte": at}}

        def read() -> tuple[Rows[ViewT], Rows[Any]]:
            found: Rows[ViewT] = []
            unreadable: Rows[Any] = []
            rows = self._collection.with_options(codec_options=VIEW_CODEC).find(
                due,
                {**self._columns(view), "_id": 1},
                sort=[("announce", ASCENDING)],
                limit=count,
                max_time_ms=MAX_TIME_MS,
            )
            for row in rows:
                try:
                    found.append(self._convert(row, view))
                except UnreadableRow as error:
                    unreadable.append(error.row_id)
            return found, unreadable

        return await self._run(read)

    async def put_off_announcement(self, row_ids: Sequence[Any], until: datetime) -> int:
        """Make the rows due again at a later time. Return how many still had the marker."""
        where = {"_id": {"$in": ids_of(row_ids)}, **_IS_MARKED}
        return await self._update_announcements(where, {"$set": {"announce": until}})

    async def oldest_announcement(self) -> datetime | None:
        """Return since when the row that waits longest is due, None if none waits."""

        def read() -> datetime | None:
            row = self._collection.find_one(
                _IS_MARKED,
                {"announce": 1},
                sort=[("announce", ASCENDING)],
                max_time_ms=MAX_TIME_MS,
            )
            return row["announce"] if row else None

        return await self._run(read)

    async def _update_announcements(self, where: Row, change: Row) -> int:
        return await self._run(
            lambda: self._collection.update_many(where, change).matched_count,
        )


class MarkedRows(Announcing[DocumentT]):
    """Rows for which each setting of the marker makes one event."""

    async def end_announcement(self, row_ids: Sequence[str], marker: datetime) -> int:
        """Take the marker away from the rows that still have this one. Return how many had."""
        where = {"_id": {"$in": ids_of(row_ids)}, "announce": marker}
        change: Row = {"$unset": {"announce": ""}, "$set": {"announced": 1}}
        return await self._update_announcements(where, change)


def ids_of(row_ids: Iterable[Any]) -> list[Any]:
    """Return the ids as they may be stored: views have them as text, and another system may have stored text."""
    ids = list(row_ids)
    return ids + [ObjectId(each) for each in ids if ObjectId.is_valid(each)]
