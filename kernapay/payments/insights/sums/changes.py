"""Invalidate stored sums when payments change: called by the relay, and by imports, which the relay never sees."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from bson import ObjectId

from kernapay.payments.insights.sums.holds.repository import HoldRepository
from kernapay.payments.insights.sums.repository import InsightSumRepository
from kernapay.payments.insights.sums.spans import ALL, Place


class Changing(NamedTuple):
    """A payment that is about to change. `at` is when it was created."""

    payment_id: str
    at: datetime
    provider_id: str | None


class InsightChanges:
    def __init__(self, sums: InsightSumRepository, holds: HoldRepository) -> None:
        self._sums = sums
        self._holds = holds

    async def note(self, payments: Iterable[tuple[datetime, str | None]]) -> None:
        """Have the sums with these payments recomputed. `payments` has the time and the payee of each.

        Call this while they carry the relay's marker. Raises Unavailable.
        """
        await self._sums.note_changes(Place(at, payee or ALL) for at, payee in payments)

    @asynccontextmanager
    async def holding(self, payments: Sequence[Changing]) -> AsyncIterator[None]:
        """Let no stored sums with these payments be used during the block, which changes them without the marker.

        If the block raises, the holds stay, because a write may still be carried out. Raises Unavailable.
        """
        if not payments:
            yield
            return
        holds = await self._holds.hold((each.payment_id, each.at) for each in payments)
        yield
        await self.note((each.at, _payee_of(each)) for each in payments)
        await self._holds.release(holds)


def _payee_of(payment: Changing) -> str | None:
    # Capitals name the same account.
    known = ObjectId.is_valid(payment.provider_id)
    return str(ObjectId(payment.provider_id)) if known else None
