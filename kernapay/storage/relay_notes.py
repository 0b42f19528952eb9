"""What the relay of events notes: since when changes carry the marker, and until when it looked for those without."""

from datetime import datetime
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.collection import Collection

from kernapay.core.clock import Clock, now
from kernapay.storage.mongo import Mongo, database

_KEY: Final = {"_id": "events"}


class RelayNotes:
    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        self._run = mongo.run
        self._clock = clock
        self._since: datetime | None = None

    async def events_since(self) -> datetime:
        """Return since when changes make events. The migration notes it."""
        if self._since is None:
            self._since = (await self._row())["eventsSince"]
        return self._since

    async def looked_until(self) -> datetime:
        """Return until when all changes were looked through for the marker."""
        row = await self._row()
        until: datetime = row.get("lookedUntil") or row["eventsSince"]
        return until

    async def note_look(self, until: datetime) -> bool:
        """Note that all changes before this time were looked through. Return False if more were already."""
        change = {"$max": {"lookedUntil": until}}
        return await self._run(
            lambda: _notes().update_one(_KEY, change).modified_count == 1,
        )

    async def _row(self) -> dict[str, Any]:
        # A database that was restored without this row begins anew: else all old payments would be told of.
        born = {"$setOnInsert": {"eventsSince": self._clock()}}

        def read() -> dict[str, Any]:
            row = _notes().find_one_and_update(
                _KEY, born, upsert=True, return_document=ReturnDocument.AFTER
            )
            return row or {}

        return await self._run(read)


def _notes() -> Collection[dict[str, Any]]:
    return database()["relay"]
