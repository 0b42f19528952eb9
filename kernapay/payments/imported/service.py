"""Enter payments of an earlier service, and settle them by the gateway's data. Nothing changes at the gateway."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from hashlib import sha256
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.evidence import IMPORTED, Evidence, Origin
from kernapay.payments.imported.models import Former
from kernapay.payments.imported.views import ImportedView
from kernapay.payments.insights.sums.changes import Changing, InsightChanges
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.matching import best_attempt, of_sale
from kernapay.payments.models import Payment
from kernapay.payments.payees import Payees
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Event, RefundState, Source, Status
from kernapay.storage.repository import DuplicateRow

_ORIGIN: Final = Origin(Source.RECONCILIATION, IMPORTED)
# The worker looks at unpaid payments within an hour of the import, and ends those of long ago within a day after that.
_CHECKS: Final = timedelta(hours=1)
_ENDS: Final = timedelta(days=1)
_MOST_KNOWN: Final = 500
Refunds = Mapping[str, Sequence[GatewayRefund]]
"""The refunds of the gateway's payments, by the id of the payment."""


class ImportConflict(Exception):
    """Another payment has the id, the order or the idempotency key of the one to import. Only the command says so."""


def judge(attempts: Sequence[GatewayPayment], refunds: Refunds) -> Status:
    """Return the status that a payment has by the attempts of its order at the gateway."""
    best = best_attempt(attempts)
    if best is None or best.status in ("created", "authorized"):
        return Status.PENDING
    if not best.is_captured:
        return Status.FAILED
    given = sum(
        each.amount for each in refunds.get(best.id, ()) if each.status == RefundState.PROCESSED
    )
    return Status.REFUNDED if given >= best.amount else Status.SUCCESS


class ImportedPayments:
    def __init__(
        self,
        ledger: PaymentLedger,
        settlement: Settlement,
        payees: Payees,
        changes: InsightChanges,
        expire_after: timedelta,
        clock: Clock = now,
    ) -> None:
        self._ledger = ledger
        self._settlement = settlement
        self._payees = payees
        self._changes = changes
        self._expire_after = expire_after
        self._clock = clock

    async def known(self, ids: Sequence[object]) -> dict[object, Payment]:
        """Return the payments that are stored, by id. Raises Unavailable."""
        found: dict[object, Payment] = {}
        for start in range(0, len(ids), _MOST_KNOWN):
            rows = await self._ledger.list_imported(ids[start : start + _MOST_KNOWN])
            found |= {row.pk: row for row in rows}
        return found

    async def count_unseen(self) -> int:
        """Count imported unpaid payments not yet looked up at the gateway, up to 10,000. Raises Unavailable."""
        return await self._ledger.count_unseen()

    def holding(self, payments: Sequence[Changing]) -> AbstractAsyncContextManager[None]:
        """Let no stored sums with these payments be used during the block, in which they are entered or changed.

        The block takes less than an hour, and raises no error of a single payment. Raises Unavailable.
        """
        return self._changes.holding(payments)

    async def views(self, ids: Sequence[object]) -> dict[str, ImportedView]:
        """Return the columns of stored payments that an import needs, by id as text. Raises Unavailable."""
        found: dict[str, ImportedView] = {}
        for start in range(0, len(ids), _MOST_KNOWN):
            rows = await self._ledger.list_imported_views(ids[start : start + _MOST_KNOWN])
            found |= {row.id: row for row in rows}
        return found

    async def enter(self, draft: Payment, shown_as: str | None) -> Payment:
        """Insert a payment as unpaid. `shown_as` is the status that the earlier service showed.

        Raises ImportConflict, Unavailable.
        """
        try:
            payee = await self._payees.judge(str(draft.user_id), draft.provider_id)
        except InvalidInput:
            payee = None  # it stays a label: nobody gets a right by what a payer wrote
        draft.payee_id = payee
        reason = f"imported; the earlier service showed it as {shown_as or 'nothing'}"
        try:
            return await self._ledger.enter_imported(draft, _ORIGIN, reason)
        except DuplicateRow as error:
            known = await self._ledger.get_one_or_none(id=draft.pk)
            if known is not None and known.former is not None:
                return known  # a run that was killed had entered it
            fields = ", ".join(error.index_fields)
            raise ImportConflict(f"another payment here has its {fields}") from error

    async def settle(
        self, payment: Payment, attempts: Sequence[GatewayPayment], refunds: Refunds
    ) -> Payment:
        """Bring a payment to its state at the gateway, and return it. The gateway is only read.

        A second payment of the order is ignored, and so is a payment whose sale has ended unpaid here.

        Raises EvidenceMismatch, which is stored, GatewayError, Unavailable.
        """
        best = best_attempt(of_sale(payment, attempts))
        if (
            best is None
            or best.status == "created"
            or (payment.final and not payment.status.is_paid)
        ):
            return payment
        if payment.status.is_paid and payment.razorpay_payment_id != best.id:
            return payment
        known = tuple(refunds.get(best.id, ())) if best.is_captured else ()
        result = await self._settlement.settle(
            _event_of(best), Evidence(_ORIGIN, best, known_refunds=known)
        )
        for each in known:
            result = await self._settlement.settle(None, Evidence(_ORIGIN, best, each))
        return await self._ledger.get(id=result.payment.pk)

    async def correct(
        self, payment: Payment, former: Former, amount: int, receipt: str | None
    ) -> Payment | None:
        """Store the amount (minor units) and the receipt of the gateway's order, unknown when the payment was entered.

        Return None if the payment has changed since: its amount stays. Raises Unavailable.
        """
        return await self._ledger.correct_imported(payment, former, amount, receipt)

    async def note(self, payment: Payment, former: Former, *, is_known: bool) -> bool:
        """Store what an import learned, and when to check again: never if the gateway does not know the order.

        Return False if the payment has changed meanwhile. The next import then imports it again.
        """
        at = self._clock()
        # Of its hash: ids that one process made differ by one.
        share = int(sha256(str(payment.pk).encode()).hexdigest()[:6], 16) / 0xFFFFFF
        due, ends_at = None, None
        if is_known:
            due = at + _CHECKS * share
            ends_at = max(payment.created_at + self._expire_after, at + _CHECKS + _ENDS * share)
        return await self._ledger.note_import(payment, former, due, ends_at)


def paid_twice(attempts: Sequence[GatewayPayment]) -> list[str]:
    """Return the ids of an order's captured payments if there are several."""
    captured = [each.id for each in attempts if each.is_captured]
    return captured if len(captured) > 1 else []


def _event_of(gateway_payment: GatewayPayment) -> Event:
    if gateway_payment.is_captured:
        return Event.CAPTURED
    return Event.AUTHORIZED if gateway_payment.status == "authorized" else Event.DECLINED
