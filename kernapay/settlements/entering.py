"""Enter the rows of processed settlements into their payments, and remove the rows of failed ones."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from kernapay.core.crash_points import crash_point
from kernapay.payments.models import Payout
from kernapay.payments.payouts import PayoutService, Trace
from kernapay.settlements.models import SettlementRow
from kernapay.settlements.repository import SettlementRepository, SettlementRowRepository

_log = structlog.get_logger("kernapay.settlements")
# How long after its end a day of the feed is read for the last time.
_LATEST: Final = timedelta(days=31)
# Making a copy takes a while, and the operator may have named the time of its end.
_MARGIN: Final = timedelta(hours=1)


class Entering:
    """Each method may be repeated, also after a crash half-way. Each raises Unavailable."""

    def __init__(
        self,
        settlements: SettlementRepository,
        rows: SettlementRowRepository,
        payouts: PayoutService,
    ) -> None:
        self._settlements = settlements
        self._rows = rows
        self._payouts = payouts

    async def enter(self, rows: Sequence[SettlementRow]) -> None:
        """Enter rows into their payments. Rows of other applications have none."""
        payments = await self._payouts.find([_trace(row) for row in rows])
        for row, payment in zip(rows, payments, strict=True):
            if payment is None or not await self._payouts.record(payment, _payout(row)):
                continue
            crash_point("settlement.entered")
            # An unpaid payment does not know yet which of the gateway's payments counts: enter the row again later.
            is_done = payment.status.is_paid
            if is_done or row.reference_id is None:
                await self._rows.note_payment(row, payment.reference_id, is_done=is_done)

    async def withdraw(self, settlement_id: str) -> None:
        """Remove the rows of a failed settlement from their payments, which are unsettled again."""
        if count := await self._payouts.withdraw(settlement_id):
            _log.warning("settlement_withdrawn", settlement=settlement_id, payments=count)
        crash_point("settlement.withdrawn")
        await self._rows.forget_payments(settlement_id)

    async def enter_again(self, since: datetime) -> None:
        """After a restore, enter the rows again that were entered while the copy was made, or shortly before.

        Without `--oplog`, the copy may have a row that says it is entered, and its payment as it was before that.
        """
        entered_after = since - _MARGIN
        for settlement in await self._settlements.in_window(since - _LATEST, None):
            if settlement.is_processed:
                rows = self._rows.stream(settlement_id=settlement.settlement_id)
                await self.enter(
                    [
                        row
                        async for row in rows
                        if row.entered_in_payment_at and row.entered_in_payment_at >= entered_after
                    ]
                )


def _trace(row: SettlementRow) -> Trace:
    is_payment = row.type == "payment"
    payment_id = row.entity_id if is_payment else row.payment_id
    return Trace(row.order_receipt, row.order_id, payment_id, row.dispute_id)


def _payout(row: SettlementRow) -> Payout:
    return Payout(
        settlement_id=row.settlement_id,
        entity_id=row.entity_id,
        type=row.type,
        utr=row.utr,
        credit=row.credit,
        debit=row.debit,
        fee=row.fee,
        tax=row.tax,
        settled_at=row.settled_at,
    )
