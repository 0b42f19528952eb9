"""Find the payments of bank settlement rows, and enter the rows there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bson import ObjectId

from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment, Payout
from kernapay.payments.references import payment_id_of
from kernapay.payments.repository import PaymentRepository

# How many ids one query names.
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids in a settlement row that lead to its payment."""

    receipt: str | None = None
    order_id: str | None = None
    payment_id: str | None = None
    dispute_id: str | None = None


class PayoutService:
    def __init__(self, payments: PaymentRepository, ledger: PaymentLedger) -> None:
        self._payments = payments
        self._ledger = ledger

    async def find(self, traces: Sequence[Trace]) -> list[Payment | None]:
        """Return the payment of each trace, None for traces of other applications. Raises Unavailable.

        The receipt alone is no proof: the order must be one of the payment's, if the trace names one.
        """
        by_id = await self._by_ids(payment_id_of(trace.receipt) for trace in traces)
        found = [_pick(by_id, trace) for trace in traces]
        orders = {trace.order_id for trace, row in zip(traces, found, strict=True) if row is None}
        by_order = await self._by("razorpay_order_id", orders)
        found = [
            row or by_order.get(str(trace.order_id))
            for trace, row in zip(traces, found, strict=True)
        ]
        paid = {trace.payment_id for trace, row in zip(traces, found, strict=True) if row is None}
        by_payment = await self._by("razorpay_payment_id", paid)
        found = [
            row or by_payment.get(str(trace.payment_id))
            for trace, row in zip(traces, found, strict=True)
        ]
        # Razorpay: what a dispute takes, and gives back, is an adjustment that names the dispute alone.
        lost = {trace.dispute_id for trace, row in zip(traces, found, strict=True) if row is None}
        by_dispute = await self._by_disputes(lost)
        return [
            row or by_dispute.get(str(trace.dispute_id))
            for trace, row in zip(traces, found, strict=True)
        ]

    async def record(self, payment: Payment, payout: Payout) -> bool:
        """Enter a row of a settlement into its payment. Repeating it is harmless.

        Return False when the payment is not stored any more. Raises Unavailable.
        """
        return await self._ledger.record_payout(payment, payout)

    async def withdraw(self, settlement_id: str) -> int:
        """Remove the rows of a failed settlement from all payments. Return how many had some. Raises Unavailable.

        A repeat continues where it was interrupted.
        """
        count = 0
        async for payment in self._payments.stream_settled_by(settlement_id):
            count += await self._ledger.withdraw_payouts(payment, settlement_id)
        return count

    async def _by_ids(self, ids: Iterable[ObjectId | None]) -> dict[ObjectId, Payment]:
        known = sorted({each for each in ids if each is not None})
        rows: dict[ObjectId, Payment] = {}
        for start in range(0, len(known), _BATCH):
            batch = await self._payments.with_any("id", known[start : start + _BATCH])
            rows |= {row.pk: row for row in batch}
        return rows

    async def _by(self, field: str, values: set[str | None]) -> dict[str, Payment]:
        known = sorted(value for value in values if value)
        rows: dict[str, Payment] = {}
        for start in range(0, len(known), _BATCH):
            batch = await self._payments.with_any(field, known[start : start + _BATCH])
            rows |= {getattr(row, field): row for row in batch}
        return rows

    async def _by_disputes(self, ids: set[str | None]) -> dict[str, Payment]:
        known = sorted(each for each in ids if each)
        rows: dict[str, Payment] = {}
        for start in range(0, len(known), _BATCH):
            batch = await self._payments.with_any(
                "disputes__dispute_id", known[start : start + _BATCH]
            )
            rows |= {dispute.dispute_id: row for row in batch for dispute in row.disputes}
        return rows


def _pick(by_id: dict[ObjectId, Payment], trace: Trace) -> Payment | None:
    payment_id = payment_id_of(trace.receipt)
    payment = by_id.get(payment_id) if payment_id else None
    if payment is None or trace.order_id is None:
        return payment
    return payment if trace.order_id in orders_of(payment) else None


def orders_of(payment: Payment) -> tuple[str | None, ...]:
    """Return the orders at the gateway that were made for a payment."""
    return (payment.razorpay_order_id, *payment.surplus_orders)
