"""The writes to the refunds of a payment, and to money that goes back. `ledger.py` has the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ReturnDocument

from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments import refund_pipelines, surplus_pipelines
from kernapay.payments.changes import make_step
from kernapay.payments.evidence import Origin
from kernapay.payments.models import Payment, Refund, SurplusPayment
from kernapay.payments.refund_pipelines import Stage
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import RefundState, RefundStatus, Status, SurplusReason
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository
from kernapay.storage.updates import Changed, RowGone

LEASE_ENDED: Final = datetime.fromtimestamp(0, UTC)


class RefundLedger(Repository[Payment]):
    """The base of the ledger, and no repository of its own."""

    def __init__(self, mongo: Mongo, payments: PaymentRepository) -> None:
        super().__init__(mongo, payments.clock)
        self._history = payments.history

    @asynccontextmanager
    async def changing_history(self, payment: Payment) -> AsyncIterator[None]:
        async with self._history.changing(user_id=str(payment.user_id)):
            yield

    async def evict_history(self, payment: Payment) -> None:
        """Evict the payer's cached history.

        Call it also for a change that was already made: the process that made it may have died before evicting.
        """
        await self._history.evict(user_id=str(payment.user_id))

    async def reserve_refund(
        self, payment: Payment, refund: Refund, max_refunds: int
    ) -> Payment | None:
        """Add the refund, which reserves its amount.

        Return None when its key exists, when all refunds together would exceed the payment, or when there are too many.
        Raises RowGone.
        """
        origin = Origin(refund.source, "refund.requested", actor=refund.actor)
        reserved = await self.update_if(
            key_of(payment),
            {
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
        return reserved.row if isinstance(reserved, Changed) else None

    async def take_refund_lease(
        self, payment: Payment, refund: Refund, duration: timedelta
    ) -> Payment | None:
        """Take the lease for requesting a reserved refund from the gateway, and note its end in `refund`.

        Return None when another caller has it, or the gateway has answered. Raises RowGone.
        """
        at = self.clock()
        is_free = {"$not": {"$gte": at}}
        free_lease = {"receipt": refund.receipt, "refundId": None, "leaseUntil": is_free}
        row = await self._change_refund(payment, free_lease, {"leaseUntil": at + duration})
        if row is not None:
            refund.lease_until = at + duration
        return row

    async def release_refund_lease(self, payment: Payment, refund: Refund) -> bool:
        """End the lease that the caller holds. Return False if it has ended and another caller holds one."""
        held = {"receipt": refund.receipt, "leaseUntil": refund.lease_until}
        return await self._change_refund(payment, held, {"leaseUntil": LEASE_ENDED}) is not None

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

    async def add_surplus(
        self,
        payment: Payment,
        gateway_payment: GatewayPayment,
        reason: SurplusReason,
        origin: Origin,
    ) -> Payment:
        """Enter money that is not for the sale, once. Return the payment as stored afterwards. Raises NotFound."""
        is_new = {"surplusPayments.paymentId": {"$ne": gateway_payment.id}}
        pipeline = surplus_pipelines.add(gateway_payment, reason, origin, self.clock())
        row = await self._update(payment, pipeline, __raw__=is_new)
        return row or await self.get(id=payment.pk)

    async def record_surplus(
        self,
        payment: Payment,
        surplus: SurplusPayment,
        status: RefundState,
        refund_id: str | None,
        origin: Origin,
    ) -> Payment:
        """Store the state of the refund of a surplus payment. Return the payment as stored afterwards."""
        state = {"paymentId": surplus.payment_id, "status": status.value, "refundId": refund_id}
        is_news = {
            "$and": [
                {"surplusPayments": {"$elemMatch": {"paymentId": surplus.payment_id}}},
                {"surplusPayments": {"$not": {"$elemMatch": state}}},
            ]
        }
        pipeline = surplus_pipelines.record(
            surplus.payment_id, status, refund_id, origin, self.clock()
        )
        row = await self._update(payment, pipeline, __raw__=is_news)
        return row or await self.get(id=payment.pk)

    async def _change_refund(self, payment: Payment, where: Stage, change: Stage) -> Payment | None:
        changed = await self.update_if(
            key_of(payment),
            {"__raw__": {"refunds": {"$elemMatch": where}}},
            is_visible=False,
            __raw__={"$set": {f"refunds.$.{name}": value for name, value in change.items()}},
        )
        return changed.row if isinstance(changed, Changed) else None

    async def _update_refunds(self, payment: Payment, pipeline: list[Stage]) -> Payment:
        return require(await self._update(payment, pipeline))

    async def _update(
        self, payment: Payment, pipeline: list[Stage], **where: Any
    ) -> Payment | None:
        def update() -> Payment | None:
            row = self._collection.find_one_and_update(
                self._where({**key_of(payment), **where}),
                pipeline,
                return_document=ReturnDocument.AFTER,
            )
            return self._document(row)

        async with self.changing_history(payment):
            row = await self._run(update)
            crash_point("settle.refund_written")
        return row


def require(row: Payment | None) -> Payment:
    """Return the row of an update whose only condition was its key. Raises RowGone."""
    if row is None:
        raise RowGone
    return row


def key_of(payment: Payment) -> dict[str, Any]:
    # MongoDB: `userId` is the shard key. Without it, a sharded collection rejects the update or queries every shard.
    return {"id": payment.pk, "user_id": payment.user_id}
