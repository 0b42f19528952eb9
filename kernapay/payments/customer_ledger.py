"""The write that moves payments to another customer of the shop. `ledger.py` has the other writes."""

from typing import Final

from bson import ObjectId

from kernapay.payments.announcing_ledger import AnnouncingLedger
from kernapay.payments.pagination import of_payer

# A statement for more would hold up others for longer than they notice.
_BATCH: Final = 500


class CustomerLedger(AnnouncingLedger):
    """A base of the ledger, and no repository of its own."""

    async def reassign(self, shop_id: str, customer_id: str, kept_id: str) -> int:
        """Move some payments of a merged customer to the one that stays. Return how many; 0 if none is left.

        No money moves and no status changes, so there is no step and no event: the audit log tells of the merge.
        """
        of_customer = {**of_payer(shop_id), "customerId": ObjectId(customer_id)}
        change = {"$set": {"customerId": ObjectId(kept_id), "updatedAt": self.clock()}}

        def write() -> int:
            rows = self._collection.find({"customerId": ObjectId(customer_id)}, {"_id": 1})
            ids = [row["_id"] for row in rows.limit(_BATCH)]
            if not ids:
                return 0
            where = {"_id": {"$in": ids}, **of_customer}
            return self._collection.update_many(where, change).matched_count

        return await self._run(write)
