"""The writes of bank settlements to payments. `ledger.py` has the others.

They change nothing that a payer sees, so `updatedAt` and the cached history stay.
"""

from typing import Any

from kernapay.payments import payout_pipeline
from kernapay.payments.models import Payment, Payout
from kernapay.payments.refund_ledger import RefundLedger, key_of


class PayoutLedger(RefundLedger):
    """A part of the ledger, and no repository of its own."""

    async def record_payout(self, payment: Payment, payout: Payout) -> bool:
        """Enter a row of a bank settlement once. Return False when the payment is not stored any more."""
        return await self._update_payouts(payment, payout_pipeline.record(payout))

    async def withdraw_payouts(self, payment: Payment, settlement_id: str) -> bool:
        """Remove the rows of a failed settlement. Return False when the payment has none of them any more."""
        entered = {"settlements.settlementId": settlement_id}
        pipeline = payout_pipeline.withdraw(settlement_id)
        return await self._update_payouts(payment, pipeline, __raw__=entered)

    async def _update_payouts(
        self, payment: Payment, pipeline: list[payout_pipeline.Stage], **where: Any
    ) -> bool:
        key = self._where({**key_of(payment), **where})
        return await self._run(
            lambda: self._collection.update_one(key, pipeline).matched_count == 1
        )
