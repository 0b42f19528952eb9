"""The writes of an import from an earlier service. `ledger.py` has the others.

An imported payment is settled by the gateway's data, like any other. Imports cause no events and no mails.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from kernapay.core.crash_points import crash_point
from kernapay.payments.announcing_ledger import AnnouncingLedger
from kernapay.payments.evidence import IMPORTED, Origin
from kernapay.payments.history import begin_history, has_steps, make_step
from kernapay.payments.imported.models import Former
from kernapay.payments.imported.views import ImportedView, Unseen
from kernapay.payments.models import Payment
from kernapay.payments.refund_ledger import key_of
from kernapay.payments.states import Status
from kernapay.storage.filters import LimitOffset
from kernapay.storage.updates import Changed

_MOST_COUNTED: Final = 10_000


class ImportLedger(AnnouncingLedger):
    """A base of the ledger, and no repository of its own."""

    async def list_imported(self, ids: Sequence[object]) -> list[Payment]:
        """Return the payments that are stored."""
        return await self.list(id__in=list(ids))

    async def list_imported_views(self, ids: Sequence[object]) -> list[ImportedView]:
        """Return the columns that an import needs of the payments that are stored."""
        return await self.select(ImportedView, id__in=list(ids))

    async def count_unseen(self) -> int:
        """Count imported unpaid payments that no import has looked up at the gateway, up to 10,000."""
        # No worker looks at them, nor at those whose orders the gateway does not know. An index finds both.
        rows = await self.select(
            Unseen, LimitOffset(_MOST_COUNTED), status=Status.PENDING, check_at=None
        )
        return sum(row.former is not None and row.former.seen is None for row in rows)

    async def enter_imported(self, payment: Payment, origin: Origin, reason: str) -> Payment:
        """Insert a payment of an earlier service as unpaid, and return it. Raises DuplicateRow.

        No check of it is due before `note_import` says when.
        """
        step = make_step(Status.PENDING, payment.created_at, origin, reason=reason)
        begin_history(payment, step)
        payment.announced, payment.announce = len(payment.history), None
        row = await self.add(payment)
        crash_point("import.inserted")
        await self.evict_history(row)
        return row

    async def correct_imported(
        self, payment: Payment, former: Former, amount: int, receipt: str | None
    ) -> Payment | None:
        """Store the amount (minor units) and the receipt of the gateway's order for a payment with imported steps only.

        Return None if the payment has other steps, or has changed since it was read. Its amount stays then.
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

    async def note_import(
        self, payment: Payment, former: Former, due: datetime | None, ends_at: datetime | None
    ) -> bool:
        """Store what an import learned of a payment and, if it is unpaid, when to check it again.

        Pass None for both times if the gateway cannot answer: then nothing is checked. Return False if the payment has
        changed since it was read.
        """
        change: dict[str, Any] = {"set__former": former}
        # Changes that were made here have events, so their marker stays.
        if _is_untouched(payment):
            change |= {"set__announced": len(payment.history), "unset__announce": True}
            # With the present time, the next nightly report would ask the gateway about every imported payment.
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
