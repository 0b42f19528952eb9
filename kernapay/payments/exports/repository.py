"""The queries of exports. Each reads one range of an index, in batches."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec

from kernapay.payments.models import Payment
from kernapay.storage.filters import BeforeAfter, OrderBy
from kernapay.storage.reading import ReadOnlyRepository, Rows, ViewT


class ExportRepository(ReadOnlyRepository[Payment]):
    model = Payment

    def payments(
        self, view: type[ViewT], start: datetime, end: datetime
    ) -> AsyncIterator[Rows[ViewT]]:
        """Yield the payments created between two times, oldest first."""
        created = BeforeAfter("created_at", before=end, after=start)
        return self.batches(view, created, OrderBy("created_at"), OrderBy("reference_id"))

    def with_any(
        self, view: type[ViewT], items: str, start: datetime, end: datetime
    ) -> AsyncIterator[Rows[ViewT]]:
        """Yield the payments with a refund or a dispute made between two times, as `items` says."""
        made = f"{items}.createdAt"
        within = {"createdAt": {"$gte": start, "$lt": end}}
        # The first condition shows that the partial index has them all, the second one bounds what is read of it.
        where = {made: {"$gte": start}, items: {"$elemMatch": within}}
        return self.batches(view, __raw__=where)

    def _columns(self, view: type[msgspec.Struct]) -> dict[str, Any]:
        # The id has the time of creation, for rows without one, and names a row that cannot be read.
        return {**super()._columns(view), "_id": 1}
