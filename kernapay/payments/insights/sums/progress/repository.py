"""Record how far the sums reach. If its row is lost, the work starts again from today, which only costs time."""

from datetime import datetime
from typing import Final, NamedTuple

from kernapay.payments.insights.sums.models import InsightProgress
from kernapay.storage.repository import Repository

_LOOK: Final = {"_id": "look"}


class Progress(NamedTuple):
    """The hours until `until` are added up, and the days from `since` on. Those before it follow, newest first."""

    until: datetime
    since: datetime


class ProgressRepository(Repository[InsightProgress]):
    model = InsightProgress

    async def read(self, zone: str, today: datetime) -> Progress:
        """Return how far the sums of a zone reach. Without a row, as far as the day that begins `today`."""
        row = await self._run(lambda: self._collection.find_one({"_id": zone}))
        return Progress(row["until"], row["since"]) if row else Progress(today, today)

    async def looked_until(self, at: datetime) -> datetime:
        """Return until when changes were looked through. Without a row, it is `at` from now on."""
        born = {"$setOnInsert": {"until": at, "createdAt": at, "updatedAt": at}}

        def read() -> datetime:
            row = self._collection.find_one(_LOOK)
            if row is None:
                self._collection.update_one(_LOOK, born, upsert=True)
                return at
            until: datetime = row["until"]
            return until

        return await self._run(read)

    async def note_look(self, until: datetime) -> None:
        """Store until when changes were looked through."""
        change = {"$max": {"until": until}, "$set": {"updatedAt": self.clock()}}
        await self._run(lambda: self._collection.update_one(_LOOK, change))

    async def note(self, zone: str, progress: Progress) -> None:
        """Store how far the sums of a zone reach."""
        at = self.clock()
        change = {
            "$set": {**progress._asdict(), "updatedAt": at},
            "$setOnInsert": {"createdAt": at},
        }
        await self._run(lambda: self._collection.update_one({"_id": zone}, change, upsert=True))
