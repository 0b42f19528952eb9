"""Cache drops that Redis did not take, kept in MongoDB until one does."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from kernapay.core.mongo import Mongo, database

COLLECTION: Final = "cache_drops"
_BATCH: Final = 500


class MongoPendingDrops:
    """The durable side of Cache: no crash and no outage makes a dropped entry come back."""

    def __init__(self, mongo: Mongo) -> None:
        self._run = mongo.run

    async def keep(self, keys: Sequence[str]) -> None:
        # A row per drop, not per key: finishing an older drop must not forget a newer one.
        rows: list[dict[str, Any]] = [{"key": key} for key in keys]
        await self._run(lambda: database()[COLLECTION].insert_many(rows))

    async def carry_out(self, drop: Callable[[str], Awaitable[object]]) -> None:
        """Repeat every kept drop with `drop`, forgetting each batch only when all of it went through."""
        while rows := await self._run(lambda: list(database()[COLLECTION].find({}, limit=_BATCH))):
            for key in {row["key"] for row in rows}:
                await drop(key)
            await self._run(self._forget, [row["_id"] for row in rows])

    def _forget(self, ids: list[Any]) -> None:
        database()[COLLECTION].delete_many({"_id": {"$in": ids}})
