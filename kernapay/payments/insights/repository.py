"""Queries that add up payments by time and by kind. Their indexes contain every field that they read."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId

from kernapay.payments.insights.sums.spans import ALL, EARLIEST, By
from kernapay.payments.models import Payment
from kernapay.payments.states import Status
from kernapay.storage.announcing import ids_of
from kernapay.storage.reading import ReadOnlyRepository, Row

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

MAX_TIME_MS: Final = 3_000
"""As for the totals of a list, of which this reads the same index."""
_FIELDS: Final = {
    By.METHOD: "$paymentMethod",
    By.PROVIDER: "$providerId",
    By.SERVICE_TYPE: "$serviceType",
}
_SUMS: Final[Row] = {
    "created": {"$sum": 1},
    "amountPaid": {"$sum": {"$ifNull": ["$amountPaid", "$amount"]}},
    "amountRefunded": {"$sum": "$amountRefunded"},
    "refunded": {"$sum": {"$cond": [{"$gt": ["$amountRefunded", 0]}, 1, 0]}},
    "disputed": {"$sum": {"$cond": [{"$eq": ["$disputed", True]}, 1, 0]}},
}
SUMS: Final = tuple(_SUMS)
# Indexes that begin with the status serve all of them.
_EACH: Final[Row] = {"$in": [status.value for status in Status]}
# MongoDB uses a partial index only where the query proves the index's filter.
_IS_MARKED: Final = {"$gt": datetime.fromtimestamp(0, UTC)}
_BY_STATUS: Final[Row] = {"currency": "$currency", "status": "$status"}


class InsightRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def sums(
        self, by: By, zone: str, after: datetime, before: datetime, scope: str
    ) -> list[Row]:
        """Return sums by currency, status, and time or kind. Raises QueryTooSlow if the payments are too many."""
        key = key_of(by, zone)
        return await self._run(lambda: self.add_up(key, after, before, scope, MAX_TIME_MS))

    def add_up(
        self,
        key: Row,
        after: datetime,
        before: datetime,
        scope: str,
        max_time_ms: int,
        session: "ClientSession | None" = None,
    ) -> list[Row]:
        """Return sums by a key. It blocks."""
        pipeline, index = query_of(key, after, before, scope)
        found = self._collection.aggregate(
            pipeline, hint=index, maxTimeMS=max_time_ms, session=session
        )
        return list(found)

    def marked(
        self, after: datetime, before: datetime, scope: str, count: int, session: "ClientSession"
    ) -> list[datetime]:
        """Return when up to `count` payments of a period were created that carry the relay's marker. It blocks."""
        where: Row = {"announce": _IS_MARKED, "createdAt": {"$gte": after, "$lt": before}}
        if scope != ALL:
            where["payeeId"] = ObjectId(scope)
        rows = self._collection.find(
            where,
            {"_id": 0, "createdAt": 1},
            hint="announce",
            limit=count,
            max_time_ms=MAX_TIME_MS,
            session=session,
        )
        return [row["createdAt"] for row in rows]

    async def changed(self, after: datetime, before: datetime) -> list[tuple[Any, Any]]:
        """Return the time and the payee of each payment that was changed in a period."""
        where: Row = {"status": _EACH, "updatedAt": {"$gte": after, "$lt": before}}
        columns = {"_id": 0, "createdAt": 1, "payeeId": 1}

        def find() -> list[tuple[Any, Any]]:
            rows = self._collection.find(where, columns, max_time_ms=MAX_TIME_MS)
            return [(row.get("createdAt"), row.get("payeeId")) for row in rows]

        return await self._run(find)

    async def payee_of(self, payment_id: str) -> str | None:
        """Return the payee of a payment, None if it has none or does not exist."""
        where = {"_id": {"$in": ids_of([payment_id])}}
        row = await self._run(lambda: self._collection.find_one(where, {"payeeId": 1}))
        payee = (row or {}).get("payeeId")
        return str(payee) if payee else None

    async def newest_before(self, at: datetime) -> datetime | None:
        """Return when the newest payment before a time was created, None if there is none."""

        def find() -> datetime | None:
            row = self._collection.find_one(
                {"createdAt": {"$gte": EARLIEST, "$lt": at}},
                {"_id": 0, "createdAt": 1},
                sort=[("createdAt", -1)],
                hint="filtered",
                max_time_ms=MAX_TIME_MS,
            )
            return row["createdAt"] if row else None

        return await self._run(find)

    async def has_more_than(self, count: int, after: datetime, before: datetime) -> bool:
        """Return whether more payments than that were created in a period."""
        where = {"createdAt": {"$gte": after, "$lt": before}}
        found = await self._run(
            lambda: self._collection.count_documents(
                where, hint="filtered", limit=count + 1, maxTimeMS=MAX_TIME_MS
            )
        )
        return found > count


def key_of(by: By, zone: str) -> Row:
    """Return what groups payments: the start of an hour or a day of the zone, or a kind."""
    if by in (By.HOUR, By.DAY):
        start = {"date": "$createdAt", "unit": by.value, "timezone": zone}
        return {**_BY_STATUS, "start": {"$dateTrunc": start}}
    return {**_BY_STATUS, "name": _FIELDS[by]}


def query_of(
    key: Row, after: datetime, before: datetime, scope: str
) -> tuple[list[dict[str, Any]], str]:
    """Return the pipeline that adds up a period by this key, and the index that it reads."""
    where: Row = {"createdAt": {"$gte": after, "$lt": before}}
    index = "filtered"
    if scope != ALL:
        where = {"payeeId": ObjectId(scope), "status": _EACH, **where}
        index = "payee_newest"
    return [{"$match": where}, {"$group": {"_id": key, **_SUMS}}], index
