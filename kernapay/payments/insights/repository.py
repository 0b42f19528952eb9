"""The queries that add payments up by time and by kind. The indexes hold all that they look at."""

from datetime import datetime
from typing import Any, Final

from bson import ObjectId

from kernapay.payments.insights.dtos import Breakdown, Unit
from kernapay.payments.models import Payment
from kernapay.payments.states import Status
from kernapay.storage.reading import ReadOnlyRepository, Row

# As for the totals of a list, of which this reads the same index.
_MAX_TIME_MS: Final = 3_000
_FIELDS: Final = {
    Breakdown.METHOD: "$paymentMethod",
    Breakdown.PROVIDER: "$providerId",
    Breakdown.SERVICE_TYPE: "$serviceType",
}
_SUMS: Final[Row] = {
    "created": {"$sum": 1},
    "amountPaid": {"$sum": {"$ifNull": ["$amountPaid", "$amount"]}},
    "amountRefunded": {"$sum": "$amountRefunded"},
    "refunded": {"$sum": {"$cond": [{"$gt": ["$amountRefunded", 0]}, 1, 0]}},
    "disputed": {"$sum": {"$cond": [{"$eq": ["$disputed", True]}, 1, 0]}},
}
_BY_STATUS: Final[Row] = {"currency": "$currency", "status": "$status"}


class InsightRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def series(
        self, after: datetime, before: datetime, unit: Unit, zone: str, payee_id: str | None
    ) -> list[Row]:
        """Return sums by currency, status and hour or day. Raises QueryTooSlow if the payments are too many."""
        start: Row = {"$dateTrunc": {"date": "$createdAt", "unit": unit.value, "timezone": zone}}
        return await self._sums({**_BY_STATUS, "start": start}, after, before, payee_id)

    async def groups(
        self, after: datetime, before: datetime, by: Breakdown, payee_id: str | None
    ) -> list[Row]:
        """Return sums by currency, status and kind. Raises QueryTooSlow if the payments are too many."""
        return await self._sums({**_BY_STATUS, "name": _FIELDS[by]}, after, before, payee_id)

    async def _sums(
        self, key: Row, after: datetime, before: datetime, payee_id: str | None
    ) -> list[Row]:
        pipeline, index = query_of(key, after, before, payee_id)
        return await self._run(
            lambda: list(self._collection.aggregate(pipeline, hint=index, maxTimeMS=_MAX_TIME_MS))
        )


def query_of(
    key: Row, after: datetime, before: datetime, payee_id: str | None
) -> tuple[list[dict[str, Any]], str]:
    """Return the pipeline that adds up a period by this key, and the index that it reads."""
    where: Row = {"createdAt": {"$gte": after, "$lt": before}}
    index = "filtered"
    if payee_id is not None:
        # The index begins with the account and the status.
        statuses = {"$in": [status.value for status in Status]}
        where = {"payeeId": ObjectId(payee_id), "status": statuses, **where}
        index = "payee_newest"
    return [{"$match": where}, {"$group": {"_id": key, **_SUMS}}], index
