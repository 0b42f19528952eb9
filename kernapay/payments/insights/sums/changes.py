"""Invalidate stored sums when payments change: called by the relay, and by imports, which the relay never sees."""

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
        """Have the sums with these payments recomputed. `payments` has the time and the payee of each.

        Call this while they carry the relay's marker. Raises Unavailable.
        """
        await self._sums.note_changes(Place(at, payee or ALL) for at, payee in payments)

    async def begin(self, payment_id: str, at: datetime) -> InsightHold:
        """Hold the sums with this payment, so that they are not used. Call this before a change without the marker."""
        return await self._holds.hold(payment_id, at)

    async def end(self, hold: InsightHold, provider_id: str | None) -> None:
        """End a hold, once it is known whether the payment has changed."""
        # Capitals name the same account.
        payee = str(ObjectId(provider_id)) if ObjectId.is_valid(provider_id) else None
        await self.note([(hold.at, payee)])
        await self._holds.release(hold)
