"""Every write to a payment. Only settlement, refunds, ordering and bootstrap may import it (an import contract).

Each method makes one conditional update, and evicts the cached history when the update makes it stale.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ReturnDocument

from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments import payout_pipeline, refund_pipelines
from kernapay.payments.changes import build_changes, enter_refunds, find_reason, make_step
from kernapay.payments.evidence import Origin
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Mismatch, Payment, Payout, Refund
from kernapay.payments.refund_pipelines import Stage
from kernapay.payments.repository import PaymentRepository, is_late_payment_possible
from kernapay.payments.states import MOVES, Event, RefundState, RefundStatus, Status
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository

# Unfinished refunds.
_OPEN: Final = [RefundState.REQUESTED.value, RefundState.PENDING.value]
_LEASE_ENDED: Final = datetime.fromtimestamp(0, UTC)


class PaymentLedger(Repository[Payment]):
    model = Payment

    def __init__(self, mongo: Mongo, payments: PaymentRepository, lifetimes: Lifetimes) -> None:
        super().__init__(mongo, payments.clock)
        self._history = payments.history
        # Three queues, so that a long one does not hold up the others.
        self.unpaid = self._queue(
            "unpaid_payments", lifetimes.check_rules(lambda _: {"status": Status.PENDING})
        )
        self.late = self._queue(
            "late_payments",
            lifetimes.check_rules(is_late_payment_possible),
        )
        self.open_refunds = self._queue(
            "open_refunds",
            lifetimes.check_rules(lambda _: {"__raw__": {"refunds.status": {"$in": _OPEN}}}),
        )

    async def claim(self, payment: Payment, origin: Origin) -> tuple[Payment, bool]:
        """Insert the payment, unless one with its key exists. Return the stored payment, and whether it is new."""
        payment.check_at = payment.created_at
        payment.history = [make_step(Status.PENDING, payment.created_at, origin)]
        row, is_new = await self.add_or_get(payment, "user_id", "idempotency_key")
        crash_point("create.inserted")
        # Evict for a repeat too: the process that inserted the payment may have died before its own eviction.
        await self.evict_history(row)
        return row, is_new

    async def take_order_lease(self, payment: Payment, duration: timedelta) -> Payment | None:
        """Take the lease for creating the order. Return None when another caller has it, or an order is attached."""
        at = self.clock()
        return await self.update_where(
            {**_key_of(payment), "razorpay_order_id": None, "order_lease_until__lt": at},
            set__order_lease_until=at + duration,
        )

    async def release_order_lease(self, payment: Payment) -> None:
        await self.update_where(
            {**_key_of(payment), "order_lease_until": payment.order_lease_until},
            set__order_lease_until=_LEASE_ENDED,
        )

    async def attach_order(self, payment: Payment, order_id: str) -> Payment:
        """Store the gateway's order id, unless the payment has one. Return the payment as stored afterwards."""
        row = await self.update_where(
            {**_key_of(payment), "razorpay_order_id": None},
            set__order_id=order_id,
            set__razorpay_order_id=order_id,
        )
        crash_point("create.written")
        await self.evict_history(payment)
        return row or await self.get(id=payment.pk)

    async def move(
        self,
        event: Event,
        payment: Payment,
        origin: Origin,
        gateway_payment: GatewayPayment | None = None,
        signature: str | None = None,
        refunds: Sequence[GatewayRefund] = (),
    ) -> Payment | None:
        """Make the event's move and store the gateway's data. Return None when the status no longer allows the move.

        `refunds` are entered as requested: `record_refund` brings each to its state, and if the process dies before
        that, they are open refunds, which the worker checks.
        """
        sources, target = MOVES[event]
        at = self.clock()
        async with self._changing_history(payment):
            row = await self.update_where(
                {
                    **_key_of(payment),
                    "status__in": sources,
                    "razorpay_order_id": payment.razorpay_order_id,
                    "amount": payment.amount,
                    "currency": payment.currency,
                },
                set__status=target,
                push__history=make_step(
                    target,
                    at,
                    origin,
                    gateway_payment,
                    reason=find_reason(event, gateway_payment),
                ),
                **build_changes(event, gateway_payment, signature),
                **({"set__paid_at": at} if target.is_paid else {}),
                **enter_refunds(refunds, origin, at),
            )
            crash_point("settle.written")
        return row

    async def evict_history(self, payment: Payment) -> None:
        """Evict the payer's cached history.

        Call it also for a change that was already made: the process that made it may have died before evicting.
        """
        await self._history.evict(user_id=str(payment.user_id))

    async def record_authorization(
        self, payment: Payment, origin: Origin, gateway_payment: GatewayPayment
    ) -> Payment | None:
        """Store that the bank authorised the payment, which stays pending. Return None when that is stored already."""
        at = self.clock()
        return await self.update_where(
            {**_key_of(payment), "status": Status.PENDING, "authorized_at": None},
            set__authorized_at=at,
            push__history=make_step(Status.PENDING, at, origin, gateway_payment),
        )

    async def reserve_refund(
        self, payment: Payment, refund: Refund, max_refunds: int
    ) -> Payment | None:
        """Add the refund, which reserves its amount.

        Return None when its key exists, when all refunds together would exceed the payment, or when there are too many.
        """
        origin = Origin(refund.source, "refund.requested", actor=refund.actor)
        row = await self.update_where(
            {
                **_key_of(payment),
                "status": Status.SUCCESS,
                "__raw__": {
                    "refunds.key": {"$ne": refund.key},
                    "$expr": refund_pipelines.admits(refund.amount, max_refunds),
                },
            },
            push__refunds=refund,
            push__history=make_step(
                Status.SUCCESS,
                refund.created_at,
                origin,
                reason=f"refund requested: {refund.amount}",
            ),
            set__refund_status=RefundStatus.REQUESTED,
            set__check_at=refund.created_at,
            set__checks=0,
        )
        await self.evict_history(payment)
        return row

    async def take_refund_lease(
        self, payment: Payment, refund: Refund, duration: timedelta
    ) -> Payment | None:
        """Take the lease for requesting a reserved refund from the gateway. Return None when another caller has it."""
        at = self.clock()
        free_lease = {"receipt": refund.receipt, "refundId": None, "leaseUntil": {"$lt": at}}
        return await self._change_refund(payment, free_lease, {"leaseUntil": at + duration})

    async def release_refund_lease(self, payment: Payment, refund: Refund) -> None:
        await self._change_refund(
            payment, {"receipt": refund.receipt}, {"leaseUntil": _LEASE_ENDED}
        )

    async def record_refund(
        self, payment: Payment, refund: GatewayRefund, origin: Origin
    ) -> Payment:
        """Store the gateway's state of a refund and add up all refunds, in one update."""
        pipeline = refund_pipelines.record(refund, origin, refund.payment_id, self.clock())
        return await self._update_refunds(payment, pipeline)

    async def refuse_refund(
        self, payment: Payment, refund: Refund, failure: str, origin: Origin
    ) -> Payment:
        """Mark a refund as failed, which releases its amount, after the gateway refused it for good."""
        pipeline = refund_pipelines.refuse(str(refund.receipt), failure, origin, self.clock())
        return await self._update_refunds(payment, pipeline)

    async def record_fee(self, payment: Payment, fee: int | None, tax: int | None) -> None:
        """Store the gateway's fee and the tax included in it, in minor units."""
        await self.update_where(_key_of(payment), set__fee=fee, set__tax=tax)

    async def record_payout(self, payment: Payment, payout: Payout) -> bool:
        """Enter a row of a bank settlement once. Return False when the payment is not stored any more.

        It moves no money and changes nothing that a payer sees, so `updatedAt` and the cached history stay.
        """
        where, pipeline = self._where(_key_of(payment)), payout_pipeline.record(payout)
        return await self._run(
            lambda: self._collection.update_one(where, pipeline).matched_count == 1
        )

    async def record_mismatch(self, payment: Payment, mismatch: Mismatch) -> None:
        """Store evidence that does not match; the same evidence is stored once."""
        same = {
            "source": mismatch.source.value,
            "reason": mismatch.reason,
            "paymentId": mismatch.payment_id,
            "orderId": mismatch.order_id,
        }
        await self.update_where(
            {**_key_of(payment), "__raw__": {"mismatches": {"$not": {"$elemMatch": same}}}},
            push__mismatches=mismatch,
        )

    async def record_surplus_orders(self, payment: Payment, order_ids: list[str]) -> None:
        """Store further orders of this payment at the gateway. Nobody may pay them."""
        await self.update_where(_key_of(payment), add_to_set__surplus_orders=order_ids)

    async def _change_refund(self, payment: Payment, where: Stage, change: Stage) -> Payment | None:
        return await self.update_where(
            {**_key_of(payment), "__raw__": {"refunds": {"$elemMatch": where}}},
            __raw__={"$set": {f"refunds.$.{name}": value for name, value in change.items()}},
        )

    async def _update_refunds(self, payment: Payment, pipeline: list[Stage]) -> Payment:
        def update() -> Payment | None:
            row = self._collection.find_one_and_update(
                self._where(_key_of(payment)),
                pipeline,
                return_document=ReturnDocument.AFTER,
            )
            return self._document(row)

        async with self._changing_history(payment):
            row = await self._run(update)
            crash_point("settle.refund_written")
        return row or payment

    def _queue(self, name: str, rules: Rules) -> Queue[Payment]:
        # The queue writes only the time and the number of checks, so it may write to payments.
        return Queue(name, self, rules, key=_key_of)

    @asynccontextmanager
    async def _changing_history(self, payment: Payment) -> AsyncIterator[None]:
        async with self._history.changing(user_id=str(payment.user_id)):
            yield


def _key_of(payment: Payment) -> dict[str, Any]:
    # MongoDB: `userId` is the shard key. Without it, a sharded collection rejects the update or queries every shard.
    return {"id": payment.pk, "user_id": payment.user_id}
