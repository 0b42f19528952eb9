"""Cache evictions that Redis did not accept, stored in MongoDB until it does."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from kernapay.storage.mongo import Mongo, database

COLLECTION: Final = "cache_drops"
_BATCH: Final = 500


class MongoPendingEvictions:
    """The durable PendingEvictions of Cache: an evicted entry stays evicted through crashes and outages."""

    def __init__(self, mongo: Mongo) -> None:
        self._run = mongo.run

    async def add(self, keys: Sequence[str]) -> None:
        # One row per eviction, not per key: deleting the row of an older eviction must not delete a newer one.
        rows: list[dict[str, Any]] = [{"key": key} for key in keys]
        await self._run(lambda: database()[COLLECTION].insert_many(rows))

    async def drain(self, evict: Callable[[str], Awaitable[object]]) -> None:
        """Evict every stored key. A batch is deleted only after all its evictions succeeded."""
        while rows := await self._run(lambda: list(database()[COLLECTION].find({}, limit=_BATCH))):
            for key in {row["key"] for row in rows}:
                await evict(key)
            await self._run(self._delete, [row["_id"] for row in rows])

    def _delete(self, ids: list[Any]) -> None:
        database()[COLLECTION].delete_many({"_id": {"$in": ids}})
