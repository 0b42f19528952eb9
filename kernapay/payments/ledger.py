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
from kernapay.payments import refund_pipelines
from kernapay.payments.changes import (
    build_changes,
    changes_of_paid,
    enter_refunds,
    find_reason,
    make_step,
)
from kernapay.payments.evidence import Origin
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Mismatch, Payment, Refund
from kernapay.payments.refund_pipelines import Stage
from kernapay.payments.repository import (
    PaymentRepository,
    has_open_refund,
    is_late_payment_possible,
    is_unpaid,
)
from kernapay.payments.states import MOVES, Event, RefundStatus, Status
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository
from kernapay.storage.updates import Changed, RowChanged, RowGone

_LEASE_ENDED: Final = datetime.fromtimestamp(0, UTC)


class PaymentLedger(Repository[Payment]):
    model = Payment

    def __init__(self, mongo: Mongo, payments: PaymentRepository, lifetimes: Lifetimes) -> None:
        super().__init__(mongo, payments.clock)
        self._history = payments.history
        # Three queues, so that a long one does not hold up the others.
        rules = lifetimes.check_rules
        self.unpaid = self._queue("unpaid_payments", rules(is_unpaid))
        self.late = self._queue("late_payments", rules(is_late_payment_possible))
        self.open_refunds = self._queue("open_refunds", rules(has_open_refund))

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
        free_lease = {
            "razorpay_order_id": None,
            # Not `$lt`: a row of another system has no lease.
            "__raw__": {"orderLeaseUntil": {"$not": {"$gte": at}}},
        }
        until = at + duration
        taken = await self.update_if(
            _key_of(payment), free_lease, is_visible=False, set__order_lease_until=until
        )
        return taken.row if isinstance(taken, Changed) else None

    async def release_order_lease(self, payment: Payment) -> bool:
        """End the lease that the caller holds. Return False if it has ended and another caller holds one."""
        held = {"order_lease_until": payment.order_lease_until}
        released = await self.update_if(
            _key_of(payment), held, is_visible=False, set__order_lease_until=_LEASE_ENDED
        )
        return isinstance(released, Changed)

    async def attach_order(self, payment: Payment, order_id: str) -> Payment:
        """Store the gateway's order id, unless the payment has one. Return the payment as stored afterwards.

        Raises RowGone.
        """
        attached = await self.update_if(
            _key_of(payment),
            {"razorpay_order_id": None},
            set__order_id=order_id,
            set__razorpay_order_id=order_id,
        )
        crash_point("create.written")
        await self.evict_history(payment)
        return attached.row if isinstance(attached, Changed) else attached.current

    async def move(
        self,
        event: Event,
        payment: Payment,
        origin: Origin,
        gateway_payment: GatewayPayment | None = None,
        signature: str | None = None,
        refunds: Sequence[GatewayRefund] = (),
    ) -> Payment | None:
        """Make the event's move and store the gateway's data.

        Return None when the status does not allow the move: it was made before, or never may be. Raises RowChanged if
        the status allows it but order, amount or currency are no longer those of `payment`, and RowGone.

        `refunds` are entered as requested: `record_refund` brings each to its state, and if the process dies before
        that, they are open refunds, which the worker checks.
        """
        sources, target = MOVES[event]
        at = self.clock()
        async with self._changing_history(payment):
            moved = await self.update_if(
                _key_of(payment),
                {
                    "status__in": sources,
                    "razorpay_order_id": payment.razorpay_order_id,
                    "amount": payment.amount,
                    "currency": payment.currency,
                },
                set__status=target,
                push__history=make_step(
                    target, at, origin, gateway_payment, find_reason(event, gateway_payment)
                ),
                **build_changes(event, gateway_payment, signature),
                **changes_of_paid(target, at),
                **enter_refunds(refunds, origin, at),
            )
            crash_point("settle.written")
        if isinstance(moved, Changed):
            return moved.row
        if moved.current.status in sources:
            raise RowChanged
        return None

    async def evict_history(self, payment: Payment) -> None:
        """Evict the payer's cached history.

        Call it also for a change that was already made: the process that made it may have died before evicting.
        """
        await self._history.evict(user_id=str(payment.user_id))

    async def record_authorization(
        self, payment: Payment, origin: Origin, gateway_payment: GatewayPayment
    ) -> Payment | None:
        """Store that the bank authorised the payment, which stays pending.

        Return None when that is stored already, or the payment is no longer pending. Raises RowGone.
        """
        at = self.clock()
        recorded = await self.update_if(
            _key_of(payment),
            {"status": Status.PENDING, "authorized_at": None},
            set__authorized_at=at,
            push__history=make_step(Status.PENDING, at, origin, gateway_payment),
        )
        return recorded.row if isinstance(recorded, Changed) else None

    async def reserve_refund(
        self, payment: Payment, refund: Refund, max_refunds: int
    ) -> Payment | None:
        """Add the refund, which reserves its amount.

        Return None when its key exists, when all refunds together would exceed the payment, or when there are too many.
        Raises RowGone.
        """
        origin = Origin(refund.source, "refund.requested", actor=refund.actor)
        reserved = await self.update_if(
            _key_of(payment),
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
        return await self._change_refund(payment, held, {"leaseUntil": _LEASE_ENDED}) is not None

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
        _require(await self.update_where(_key_of(payment), set__fee=fee, set__tax=tax))

    async def record_mismatch(self, payment: Payment, mismatch: Mismatch) -> bool:
        """Store evidence that does not match. Return False if it is stored already. Raises RowGone."""
        same = {
            "source": mismatch.source.value,
            "reason": mismatch.reason,
            "paymentId": mismatch.payment_id,
            "orderId": mismatch.order_id,
        }
        recorded = await self.update_if(
            _key_of(payment),
            {"__raw__": {"mismatches": {"$not": {"$elemMatch": same}}}},
            is_visible=False,
            push__mismatches=mismatch,
        )
        return isinstance(recorded, Changed)

    async def record_surplus_orders(self, payment: Payment, order_ids: list[str]) -> None:
        """Store further orders of this payment at the gateway. Nobody may pay them."""
        row = await self.update_where(
            _key_of(payment), is_visible=False, add_to_set__surplus_orders=order_ids
        )
        _require(row)

    async def _change_refund(self, payment: Payment, where: Stage, change: Stage) -> Payment | None:
        changed = await self.update_if(
            _key_of(payment),
            {"__raw__": {"refunds": {"$elemMatch": where}}},
            is_visible=False,
            __raw__={"$set": {f"refunds.$.{name}": value for name, value in change.items()}},
        )
        return changed.row if isinstance(changed, Changed) else None

    async def _update_refunds(self, payment: Payment, pipeline: list[Stage]) -> Payment:
        def update() -> Payment | None:
            row = self._collection.find_one_and_update(
                self._where(_key_of(payment)), pipeline, return_document=ReturnDocument.AFTER
            )
            return self._document(row)

        async with self._changing_history(payment):
            row = await self._run(update)
            crash_point("settle.refund_written")
        return _require(row)

    def _queue(self, name: str, rules: Rules) -> Queue[Payment]:
        # The queue writes only the time and the number of checks, so it may write to payments.
        return Queue(name, self, rules, key=_key_of)

    @asynccontextmanager
    async def _changing_history(self, payment: Payment) -> AsyncIterator[None]:
        async with self._history.changing(user_id=str(payment.user_id)):
            yield


def _require(row: Payment | None) -> Payment:
    """Return the row of an update whose only condition was its key. Raises RowGone."""
    if row is None:
        raise RowGone
    return row


def _key_of(payment: Payment) -> dict[str, Any]:
    # MongoDB: `userId` is the shard key. Without it, a sharded collection rejects the update or queries every shard.
    return {"id": payment.pk, "user_id": payment.user_id}
