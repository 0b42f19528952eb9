"""The writes of the relay, which record the steps that have events. `ledger.py` has the other writes.

They change nothing that a client sees, so `updatedAt` and the cached history stay.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kernapay.payments.models import Payment
from kernapay.payments.refund_ledger import RefundLedger
from kernapay.payments.states import Status
from kernapay.storage.announcing import Announcing, ids_of


class AnnouncingLedger(RefundLedger, Announcing[Payment]):
    """A base of the ledger, and no repository of its own."""

    async def end_announcement(self, row_ids: Sequence[str], steps: int) -> int:
        """Record that the first `steps` steps of these payments have events, and clear the marker.

        A payment with more steps by now keeps its marker. Return the number of the others.
        """
        where = {"_id": {"$in": ids_of(row_ids)}, "history": {"$size": steps}}
        change: dict[str, Any] = {"$set": {"announced": steps}, "$unset": {"announce": ""}}
        return await self._update_announcements(where, change)

    async def mark_untold(self, after: datetime, before: datetime, since: datetime) -> int:
        """Mark payments that changed in this window and have steps without events. Return how many.

        Steps from before `since` get no events. An older version, which runs beside this one during an
        upgrade, adds steps without the marker.
        """
        at = self.clock()
        told = {"$ifNull": ["$announced", 0]}
        # Rows of another system may have anything there.
        history = {"$cond": [{"$isArray": "$history"}, "$history", []]}
        count = {"$size": history}
        untold = {"$slice": [history, told, {"$max": [1, count]}]}
        is_untold = {
            "$or": [
                {"$ne": [{"$type": "$announced"}, "missing"]},
                {"$gte": [{"$max": {"$map": {"input": untold, "in": "$$this.updatedAt"}}}, since]},
            ]
        }
        where = {
            # Each status, so that the index serves.
            "status": {"$in": [status.value for status in Status]},
            "updatedAt": {"$gte": after, "$lt": before},
            "announce": None,
            "$expr": {"$and": [{"$gt": [count, told]}, is_untold]},
        }
        return await self._update_announcements(where, {"$set": {"announce": at}})
