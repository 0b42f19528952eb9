"""The queries of exports. Each reads one range of an index, in batches."""

from collections.abc import AsyncIterator
from copy import copy
from datetime import datetime
from typing import Any, Final, Self

import msgspec
from bson import ObjectId

from kernapay.payments.exports.values import By
from kernapay.payments.models import Payment
from kernapay.storage.filters import BeforeAfter, OrderBy
from kernapay.storage.reading import ReadOnlyRepository, Row, Rows, ViewT

_COLUMNS: Final = {By.CREATED: "created_at", By.PAID: "paid_at", By.SETTLED: "settled_at"}


class ExportRepository(ReadOnlyRepository[Payment]):
    model = Payment
    _whose: Row = {}  # noqa: RUF012 - it is never changed

    def paid_to(self, provider_id: str) -> Self:
        """Return the same queries for what was paid to one provider."""
        narrowed = copy(self)
        narrowed._whose = {"payeeId": ObjectId(provider_id)}
        return narrowed

    def payments(
        self, view: type[ViewT], by: By, start: datetime, end: datetime
    ) -> AsyncIterator[Rows[ViewT]]:
        """Yield the payments created, paid or settled between two times, oldest first."""
        time = _COLUMNS[by]
        period = BeforeAfter(time, before=end, after=start)
        oldest = (OrderBy(time), OrderBy("reference_id"))
        return self.batches(view, period, *oldest, __raw__=self._whose)

    def with_any(
        self, view: type[ViewT], items: str, start: datetime, end: datetime
    ) -> AsyncIterator[Rows[ViewT]]:
        """Yield the payments with a refund or a dispute made between two times, as `items` says."""
        made = f"{items}.createdAt"
        within = {"createdAt": {"$gte": start, "$lt": end}}
        # The first condition shows that the partial index has them all, the second one bounds what is read of it.
        where = {**self._whose, made: {"$gte": start}, items: {"$elemMatch": within}}
        return self.batches(view, __raw__=where)

    def with_settled_refund(
        self, view: type[ViewT], start: datetime, end: datetime
    ) -> AsyncIterator[Rows[ViewT]]:
        """Yield the payments with a refund settled between two times."""
        settled = {"type": "refund", "settledAt": {"$gte": start, "$lt": end}}
        where = {"settlements.type": "refund", "settlements": {"$elemMatch": settled}}
        return self.batches(view, __raw__=where)

    def with_settled_row(
        self, view: type[ViewT], start: datetime, end: datetime
    ) -> AsyncIterator[Rows[ViewT]]:
        """Yield the payments with a row of a settlement that was settled between two times."""
        within = {"settledAt": {"$gte": start, "$lt": end}}
        bound = {"settlements.settledAt": {"$gte": start}}
        where = {**self._whose, **bound, "settlements": {"$elemMatch": within}}
        return self.batches(view, __raw__=where)

    def _columns(self, view: type[msgspec.Struct]) -> dict[str, Any]:
        # The id has the time of creation, for rows without one, and names a row that cannot be read.
        return {**super()._columns(view), "_id": 1}
