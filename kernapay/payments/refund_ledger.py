"""The writes to the refunds of a payment. `ledger.py` has the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ReturnDocument

from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayRefund
from kernapay.payments import refund_pipelines
from kernapay.payments.evidence import Origin
from kernapay.payments.history import Stage, make_step, push_step
from kernapay.payments.metrics import count_payment
from kernapay.payments.models import Payment, Refund, RefundStep
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import RefundState, RefundStatus, Status
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository
from kernapay.storage.signals import Signaller
from kernapay.storage.updates import Changed, RowGone

LEASE_ENDED: Final = datetime.fromtimestamp(0, UTC)


class RefundLedger(Repository[Payment]):
    """The base of the ledger, and no repository of its own."""

    def __init__(self, mongo: Mongo, payments: PaymentRepository, signaller: Signaller) -> None:
        super().__init__(mongo, payments.clock)
        self._history = payments.history
        self._signaller = signaller

    @asynccontextmanager
    async def changing_history(self, payment: Payment) -> AsyncIterator[None]:
        """Evict the cached history before and after a change, as `CachedQuery.changing` does, and send a signal."""
        user_id = str(payment.user_id)
        await self._history.evict(user_id=user_id)
        try:
            yield
        finally:
            # The eviction takes it along.
            self.signal(payment)
            await self._history.evict(user_id=user_id)

    def signal(self, payment: Payment) -> None:
        """Signal to the streams of the payment that its history may have grown."""
        self._signaller.signal(str(payment.pk))

    async def evict_history(self, payment: Payment) -> None:
        """Announce the change, and evict the payer's cached history.

        Call it also for a change that was already made: the process that made it may have died before evicting.
        """
        self.signal(payment)
        await self._history.evict(user_id=str(payment.user_id))

    async def reserve_refund(
        self, payment: Payment, refund: Refund, max_refunds: int
    ) -> Payment | None:
        """Add the refund, which reserves its amount.

        Return None when its key or receipt exists, when all refunds together would exceed the payment, or when there
        are too many.
        Raises RowGone.
        """
        origin = Origin(refund.source, "refund.requested", actor=refund.actor)
        reason = f"refund requested: {refund.amount}"
        step = make_step(Status.SUCCESS, refund.created_at, origin, reason=reason)
        step.razorpay_payment_id = payment.razorpay_payment_id
        step.refund_status = RefundStatus.REQUESTED
        step.refund = RefundStep(
            receipt=refund.receipt, amount=refund.amount, status=RefundState.REQUESTED
        )
        reserved = await self.update_if(
            key_of(payment),
            {
                "status": Status.SUCCESS,
                "__raw__": {
                    "refunds.key": {"$ne": refund.key},
                    "refunds.receipt": {"$ne": refund.receipt},
                    "$expr": refund_pipelines.admits(refund.amount, max_refunds),
                },
            },
            push__refunds=refund,
            **push_step(step),
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
        row = await self._update_refunds(payment, pipeline)
        if row.status is Status.REFUNDED and payment.status is not Status.REFUNDED:
            count_payment(row, origin.source)
        return row

    async def refuse_refund(
        self, payment: Payment, refund: Refund, failure: str, origin: Origin
    ) -> Payment:
        """Mark a refund as failed, which releases its amount, after the gateway refused it for good."""
        payment_id = payment.razorpay_payment_id
        pipeline = refund_pipelines.refuse(
            str(refund.receipt), failure, origin, payment_id, self.clock()
        )
        return await self._update_refunds(payment, pipeline)

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
