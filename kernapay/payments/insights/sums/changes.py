"""What tells the stored sums of payments that change: the relay, and an import, whose steps the relay never sees."""

from collections.abc import Iterable
from datetime import datetime

from bson import ObjectId

from kernapay.payments.insights.sums.holds.repository import HoldRepository
from kernapay.payments.insights.sums.models import InsightHold
from kernapay.payments.insights.sums.repository import InsightSumRepository
from kernapay.payments.insights.sums.spans import ALL, Place


class InsightChanges:
    def __init__(self, sums: InsightSumRepository, holds: HoldRepository) -> None:
        self._sums = sums
        self._holds = holds

    async def note(self, payments: Iterable[tuple[datetime, str | None]]) -> None:
        """Let the sums be added up again that contain these payments, each with its time and payee.

        Call this while they carry the relay's marker. Raises Unavailable.
        """
        await self._sums.note_changes(Place(at, payee or ALL) for at, payee in payments)

    async def begin(self, payment_id: str, at: datetime) -> InsightHold:
        """Let nobody use sums that contain this payment. Call this before it changes without the relay's marker."""
        return await self._holds.hold(payment_id, at)

    async def end(self, hold: InsightHold, provider_id: str | None) -> None:
        """End a hold, once it is known whether the payment has changed. Its payee is its provider, or nobody."""
        # Capitals name the same account.
        payee = str(ObjectId(provider_id)) if ObjectId.is_valid(provider_id) else None
        await self.note([(hold.at, payee)])
        await self._holds.release(hold)
