"""Holds on payments that are about to change without the relay's marker: sums with them are not used meanwhile."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from kernapay.core.background import gather_all
from kernapay.core.clock import Clock, now
from kernapay.payments.insights.repository import InsightRepository
from kernapay.payments.insights.sums.models import InsightHold
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

# A run that was killed leaves its holds behind. No run takes so long over the payments that it holds together.
_ABANDONED: Final = timedelta(hours=1)


# So many wait for the relay if no worker has run for long. Then all is added up, as if no sums were stored.
_MOST: Final = 10_000


class HoldRepository(Repository[InsightHold]):
    model = InsightHold

    def __init__(self, mongo: Mongo, rows: InsightRepository, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self._rows = rows

    async def hold(self, payments: Iterable[tuple[str, datetime]]) -> list[InsightHold]:
        """Hold the sums with these payments, given by id and time of creation. Raises Unavailable."""
        adds = [self.add(InsightHold(payment_id=payment_id, at=at)) for payment_id, at in payments]
        return await gather_all(adds)

    async def release(self, holds: Sequence[InsightHold]) -> None:
        """End holds, and those that killed runs left on the same payments. Raises Unavailable."""
        abandoned = {"$lt": self.clock() - _ABANDONED}
        payment_ids = [each.payment_id for each in holds]
        ended: list[dict[str, Any]] = [
            {"_id": {"$in": [each.pk for each in holds]}},
            {"paymentId": {"$in": payment_ids}, "createdAt": abandoned},
        ]
        await self._run(lambda: self._collection.delete_many({"$or": ended}))

    async def abandoned(self) -> list[InsightHold]:
        """SELECT the holds that killed runs left behind."""
        return await self.list(created_at__lt=self.clock() - _ABANDONED)

    def moving(
        self, after: datetime, before: datetime, scope: str, session: "ClientSession"
    ) -> list[datetime] | None:
        """Return when the payments of a period were created that have changed, or are held, in order. It blocks.

        None means that they are too many to know.
        """
        where = {"at": {"$gte": after, "$lt": before}}
        held = self._collection.find(where, {"_id": 0, "at": 1}, limit=_MOST, session=session)
        # First those: where a hold ends, it is counted up before.
        times = [row["at"] for row in held]
        times += self._rows.marked(after, before, scope, _MOST, session)
        return sorted(times) if len(times) < _MOST else None
