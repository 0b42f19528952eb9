"""The writes of an import from an earlier service. `ledger.py` has the others.

What came of a payment is settled like everything else, by the gateway's word. Nobody is told of old sales.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from kernapay.core.crash_points import crash_point
from kernapay.payments.announcing_ledger import AnnouncingLedger
from kernapay.payments.evidence import IMPORTED, Origin
from kernapay.payments.former.models import Former
from kernapay.payments.former.views import Moved, Unseen
from kernapay.payments.history import begin_history, has_steps, make_step
from kernapay.payments.models import Payment
from kernapay.payments.refund_ledger import key_of
from kernapay.payments.states import Status
from kernapay.storage.filters import LimitOffset
from kernapay.storage.updates import Changed

_MOST_COUNTED: Final = 10_000


class FormerLedger(AnnouncingLedger):
    """A base of the ledger, and no repository of its own."""

    async def list_former(self, ids: Sequence[object]) -> list[Payment]:
        """Return which of these payments are here."""
        return await self.list(id__in=list(ids))

    async def list_moved(self, ids: Sequence[object]) -> list[Moved]:
        """Return columns of those of these payments that are here."""
        return await self.select(Moved, id__in=list(ids))

    async def count_unseen(self) -> int:
        """Return how many imported payments, up to 10,000, are unpaid here and were not compared with the gateway."""
        # No worker looks at them, nor at those whose orders the gateway does not know. An index finds both.
        rows = await self.select(
            Unseen, LimitOffset(_MOST_COUNTED), status=Status.PENDING, check_at=None
        )
        return sum(row.former is not None and row.former.seen is None for row in rows)

    async def enter_former(self, payment: Payment, origin: Origin, reason: str) -> Payment:
        """Insert a payment of an earlier service as unpaid, and return it. Raises DuplicateRow.

        No check of it is due before `note_former` says when.
        """
        step = make_step(Status.PENDING, payment.created_at, origin, reason=reason)
        begin_history(payment, step)
        payment.announced, payment.announce = len(payment.history), None
        row = await self.add(payment)
        crash_point("import.inserted")
        await self.evict_history(row)
        return row

    async def correct_former(
        self, payment: Payment, former: Former, amount: int, receipt: str | None
    ) -> Payment | None:
        """Store the amount, in minor units, and the receipt of the gateway's order, before anything came of a payment.

        Return the payment, or None if it has changed since it was read or something came of it: its amount stays.
        """
        if payment.status is not Status.PENDING or not _is_untouched(payment):
            return None
        steps = has_steps(len(payment.history))["__raw__"]
        same = {"status": payment.status, "amount": payment.amount}
        seen = {"former.seen": payment.former.seen if payment.former else None}
        only_if = {**same, "__raw__": {**steps, **seen}}
        proved: dict[str, Any] = {"set__amount": amount, "set__receipt": receipt}
        corrected = await self.update_if(key_of(payment), only_if, set__former=former, **proved)
        if not isinstance(corrected, Changed):
            return None
        await self.evict_history(corrected.row)
        return corrected.row

    async def note_former(
        self, payment: Payment, former: Former, due: datetime | None, ends_at: datetime | None
    ) -> bool:
        """Store what an import saw of a payment, and when to look at it again if it is unpaid.

        Without times, nobody looks: the gateway cannot answer. Return False if the payment has changed since it was
        read: the next import sees it again.
        """
        change: dict[str, Any] = {"set__former": former}
        # What has happened here since, endpoints are told of: the marker of that stays.
        if _is_untouched(payment):
            change |= {"set__announced": len(payment.history), "unset__announce": True}
            # By its last change the next night would ask the gateway about every old sale.
            change["set__updated_at"] = payment.paid_at or payment.created_at
        if not payment.status.is_paid and not payment.final:
            change |= _set_or_unset("check_at", due)
            change |= _set_or_unset("ends_at", ends_at)
            change |= _set_or_unset("payable_until", ends_at)
        # Of two imports at once, one has seen what the other has stored.
        seen = {"former.seen": payment.former.seen if payment.former else None}
        steps = has_steps(len(payment.history))["__raw__"]
        same = {"status": payment.status, "__raw__": {**steps, **seen}}
        noted = await self.update_if(key_of(payment), same, is_visible=False, **change)
        crash_point("import.noted")
        return isinstance(noted, Changed)


def _is_untouched(payment: Payment) -> bool:
    return all(step.event == IMPORTED for step in payment.history)


def _set_or_unset(field: str, at: datetime | None) -> dict[str, Any]:
    return {f"unset__{field}": True} if at is None else {f"set__{field}": at}
