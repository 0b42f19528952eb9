"""The queries of live streams."""

from collections.abc import Sequence
from typing import Any, Final

from kernapay.live.dtos import LivePayment
from kernapay.payments.models import Payment
from kernapay.storage.announcing import ids_of
from kernapay.storage.reading import MAX_TIME_MS
from kernapay.storage.repository import ReadOnlyRepository

# Rows of another system may have anything there.
_STEPS: Final = {"$size": {"$cond": [{"$isArray": "$history"}, "$history", []]}}


class LivePaymentRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def by_reference(self, reference_id: str) -> LivePayment | None:
        """Return the payment. Raises Unavailable if it is not known whether there is one."""
        found = await self.select_one(LivePayment, reference_id=reference_id)
        if found is None:
            await self.confirm_absence(reference_id=reference_id)
        return found

    async def with_ids(self, ids: Sequence[str]) -> list[LivePayment]:
        return await self.select(LivePayment, __raw__=_any_of(ids))

    async def sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """Return how many steps the histories of these payments have."""

        def read() -> dict[str, int]:
            found = self._collection.find(_any_of(ids), {"steps": _STEPS}, max_time_ms=MAX_TIME_MS)
            return {str(row["_id"]): row["steps"] for row in found}

        return await self._run(read)


def _any_of(ids: Sequence[str]) -> dict[str, Any]:
    # A row of another system may have an id of another form. It must not fail the look at all the others.
    return {"_id": {"$in": ids_of(ids)}}
