"""Payments that are about to change without the relay's marker: sums that contain them are not used meanwhile."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from kernapay.payments.insights.sums.models import InsightHold
from kernapay.storage.repository import Repository

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

# A run that was killed leaves its holds behind, and the next one takes them away. No run takes so long over a payment.
_ABANDONED: Final = timedelta(hours=1)


class HoldRepository(Repository[InsightHold]):
    model = InsightHold

    async def hold(self, payment_id: str, at: datetime) -> InsightHold:
        """Let nobody use sums that contain this payment, which was created `at`. Raises Unavailable."""
        return await self.add(InsightHold(payment_id=payment_id, at=at))

    async def release(self, hold: InsightHold) -> None:
        """End a hold, and those of this payment that an earlier run left behind. Raises Unavailable."""
        abandoned = {"$lt": self.clock() - _ABANDONED}
        ended: list[dict[str, Any]] = [
            {"_id": hold.pk},
            {"paymentId": hold.payment_id, "createdAt": abandoned},
        ]
        await self._run(lambda: self._collection.delete_many({"$or": ended}))

    def held(
        self, after: datetime, before: datetime, count: int, session: "ClientSession"
    ) -> list[datetime]:
        """Return when up to `count` payments of a period were created that are held. It blocks."""
        where = {"at": {"$gte": after, "$lt": before}}
        rows = self._collection.find(where, {"_id": 0, "at": 1}, limit=count, session=session)
        return [row["at"] for row in rows]
