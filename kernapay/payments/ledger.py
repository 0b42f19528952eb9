"""Every write that changes a payment: the one door for money.

Only settlement, refunds and ordering may import this module; an import contract sees to it. Each method is one
conditional update, and evicts the cached history that the update makes stale.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ReturnDocument

from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments import refund_pipelines
from kernapay.payments.evidence import Origin
from kernapay.payments.lifetimes import LATE_AUTHORIZATION, Lifetimes
from kernapay.payments.models import Mismatch, Payment, Refund, Step
from kernapay.payments.refund_pipelines import Stage
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import MOVES, Event, RefundState, RefundStatus, Status
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository

# Refunds that are neither done nor refused.
_OPEN: Final = [RefundState.REQUESTED.value, RefundState.PENDING.value]
_LEASE_ENDED: Final = datetime.fromtimestamp(0, UTC)


class PaymentLedger(Repository[Payment]):
    model = Payment

    def __init__(self, mongo: Mongo, payments: PaymentRepository, lifetimes: Lifetimes) -> None:
        super().__init__(mongo, payments.clock)
        self._history = payments.history
        # Three queues, so that none of these kinds waits for another.
        self.unpaid = self._queue(
            "unpaid_payments", lifetimes.check_rules(lambda _: {"status": Status.PENDING})
        )
        self.late = self._queue(
            "late_payments",
            lifetimes.check_rules(
                lambda at: {"status": Status.FAILED, "created_at__gt": at - LATE_AUTHORIZATION}
            ),
        )
        self.open_refunds = self._queue(
            "open_refunds",
            lifetimes.check_rules(lambda _: {"__raw__": {"refunds.status": {"$in": _OPEN}}}),
        )

    async def claim(self, payment: Payment, origin: Origin) -> tuple[Payment, bool]:
        """Insert the payment unless its key is taken; return the row, and whether it is this one."""
        payment.check_at = payment.created_at
        payment.history = [_step(Status.PENDING, payment.created_at, origin)]
        found, is_new = await self.add_or_get(payment, "user_id", "idempotency_key")
        crash_point("create.inserted")
        # Also for a repeat: the process that inserted the row may have died before its own eviction.
        await self._evict_history(found)
        return found, is_new

    async def take_order_lease(self, payment: Payment, lasts: timedelta) -> Payment | None:
        """Get the right to make the order; None while another caller has it, or when there is an order."""
        at = self.clock()
        return await self.update_where(
            {**_one(payment), "razorpay_order_id": None, "order_lease_until__lt": at},
            set__order_lease_until=at + lasts,
        )

    async def release_order_lease(self, payment: Payment) -> None:
        await self.update_where(
            {**_one(payment), "order_lease_until": payment.order_lease_until},
            set__order_lease_until=_LEASE_ENDED,
        )

    async def attach_order(self, payment: Payment, order_id: str) -> Payment:
        """Store the gateway's order id unless the payment has one; return the payment as it is then."""
        attached = await self.update_where(
            {**_one(payment), "razorpay_order_id": None},
            set__order_id=order_id,
            set__razorpay_order_id=order_id,
        )
        crash_point("create.written")
        await self._evict_history(payment)
        return attached or await self.get(id=payment.pk)

    async def move(
        self,
        event: Event,
        payment: Payment,
        origin: Origin,
        facts: GatewayPayment | None = None,
        signature: str | None = None,
    ) -> Payment | None:
        """Make the event's move and store what the gateway says; None when the payment is past it."""
        sources, target = MOVES[event]
        at = self.clock()
        async with self._changing_history(payment):
            moved = await self.update_where(
                {
                    **_one(payment),
                    "status__in": sources,
                    "razorpay_order_id": payment.razorpay_order_id,
                    "amount": payment.amount,
                    "currency": payment.currency,
                },
                set__status=target,
                push__history=_step(target, at, origin, facts, _reason(event, facts)),
                **_facts_of(event, facts, signature),
                **({"set__paid_at": at} if target.is_paid else {}),
            )
            crash_point("settle.written")
        return moved

    async def confirm(self, payment: Payment) -> None:
        """Make sure that no cache contradicts a move that was found made.

        Whoever made it may have died before its own eviction.
        """
        await self._evict_history(payment)

    async def note_authorized(
        self, payment: Payment, origin: Origin, facts: GatewayPayment
    ) -> Payment | None:
        """Store that the bank agreed; the money is not ours before the capture. None when it is known."""
        at = self.clock()
        return await self.update_where(
            {**_one(payment), "status": Status.PENDING, "authorized_at": None},
            set__authorized_at=at,
            push__history=_step(Status.PENDING, at, origin, facts),
        )

    async def reserve_refund(self, payment: Payment, refund: Refund) -> Payment | None:
        """Set an amount aside; None when its key is taken, or more would go back than came in."""
        taken = {
            "$filter": {
                "input": {"$ifNull": ["$refunds", []]},
                "cond": {"$ne": ["$$this.status", RefundState.FAILED.value]},
            }
        }
        total = {"$sum": {"$map": {"input": taken, "in": "$$this.amount"}}}
        origin = Origin(refund.source, "refund.requested", actor=refund.actor)
        reserved = await self.update_where(
            {
                **_one(payment),
                "status": Status.SUCCESS,
                "__raw__": {
                    "refunds.key": {"$ne": refund.key},
                    "$expr": {"$lte": [{"$add": [total, refund.amount]}, "$amount"]},
                },
            },
            push__refunds=refund,
            push__history=_step(
                Status.SUCCESS,
                refund.created_at,
                origin,
                reason=f"refund requested: {refund.amount}",
            ),
            set__refund_status=RefundStatus.REQUESTED,
            set__check_at=refund.created_at,
            set__checks=0,
        )
        await self._evict_history(payment)
        return reserved

    async def take_refund_lease(
        self, payment: Payment, refund: Refund, lasts: timedelta
    ) -> Payment | None:
        """Get the right to ask the gateway for a reserved refund; None while another caller has it."""
        at = self.clock()
        unasked = {"receipt": refund.receipt, "refundId": None, "leaseUntil": {"$lt": at}}
        return await self._change_refund(payment, unasked, {"leaseUntil": at + lasts})

    async def release_refund_lease(self, payment: Payment, refund: Refund) -> None:
        await self._change_refund(
            payment, {"receipt": refund.receipt}, {"leaseUntil": _LEASE_ENDED}
        )

    async def record_refund(
        self, payment: Payment, refund: GatewayRefund, origin: Origin
    ) -> Payment:
        """Enter what the gateway says of a refund and add the refunds up, in one update."""
        pipeline = refund_pipelines.record(refund, origin, refund.payment_id, self.clock())
        return await self._update_refunds(payment, pipeline)

    async def refuse_refund(
        self, payment: Payment, refund: Refund, failure: str, origin: Origin
    ) -> Payment:
        """Release a reservation that the gateway refused for good."""
        pipeline = refund_pipelines.refuse(str(refund.receipt), failure, origin, self.clock())
        return await self._update_refunds(payment, pipeline)

    async def note_fee(self, payment: Payment, fee: int | None, tax: int | None) -> None:
        """Store the gateway's fee and the tax within it, in minor units."""
        await self.update_where(_one(payment), set__fee=fee, set__tax=tax)

    async def note_mismatch(self, payment: Payment, mismatch: Mismatch) -> None:
        """Keep evidence that did not fit; the same evidence is kept once."""
        same = {
            "source": mismatch.source.value,
            "reason": mismatch.reason,
            "paymentId": mismatch.payment_id,
            "orderId": mismatch.order_id,
        }
        await self.update_where(
            {**_one(payment), "__raw__": {"mismatches": {"$not": {"$elemMatch": same}}}},
            push__mismatches=mismatch,
        )

    async def note_surplus_orders(self, payment: Payment, order_ids: list[str]) -> None:
        """Remember orders of this payment that nobody may pay."""
        await self.update_where(_one(payment), add_to_set__surplus_orders=order_ids)

    async def _change_refund(self, payment: Payment, which: Stage, change: Stage) -> Payment | None:
        return await self.update_where(
            {**_one(payment), "__raw__": {"refunds": {"$elemMatch": which}}},
            __raw__={"$set": {f"refunds.$.{name}": value for name, value in change.items()}},
        )

    async def _update_refunds(self, payment: Payment, pipeline: list[Stage]) -> Payment:
        def update() -> Payment | None:
            row = self._collection.find_one_and_update(
                self._where(_one(payment)),
                pipeline,
                return_document=ReturnDocument.AFTER,
            )
            return self._document(row)

        async with self._changing_history(payment):
            changed = await self._run(update)
            crash_point("settle.refund_written")
        return changed or payment

    def _queue(self, name: str, rules: Rules) -> Queue[Payment]:
        # It changes nothing but when a payment is looked at next.
        return Queue(name, self, rules, key=_one)

    async def _evict_history(self, payment: Payment) -> None:
        await self._history.evict(user_id=str(payment.user_id))

    @asynccontextmanager
    async def _changing_history(self, payment: Payment) -> AsyncIterator[None]:
        async with self._history.changing(user_id=str(payment.user_id)):
            yield


def _one(payment: Payment) -> dict[str, Any]:
    # The user's id is the shard key: an update without it is refused, or asks every shard.
    return {"id": payment.pk, "user_id": payment.user_id}


def _step(
    status: Status,
    at: datetime,
    origin: Origin,
    facts: GatewayPayment | None = None,
    reason: str | None = None,
) -> Step:
    return Step(
        status=status,
        at=at,
        source=origin.source,
        event=origin.event,
        event_id=origin.event_id,
        actor=origin.actor,
        razorpay_payment_id=facts.id if facts else None,
        reason=reason,
    )


def _reason(event: Event, facts: GatewayPayment | None) -> str | None:
    if event is Event.DECLINED and facts is not None:
        return facts.error_reason or facts.error_code
    return None


def _facts_of(event: Event, facts: GatewayPayment | None, signature: str | None) -> dict[str, Any]:
    if facts is None:
        return {}
    change: dict[str, Any] = {
        "set__razorpay_payment_id": facts.id,
        "set__payment_method": facts.method,
    }
    if event is Event.CAPTURED:
        change |= {"set__fee": facts.fee, "set__tax": facts.tax}
        if signature is not None:
            change["set__razorpay_signature"] = signature
    return change
