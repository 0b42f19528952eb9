"""Every query on payments."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument

from kernapay.core.cache import Cache
from kernapay.core.cached import cached
from kernapay.core.clock import Clock, now
from kernapay.core.crashpoints import crash_point
from kernapay.core.filters import LimitOffset, OrderBy
from kernapay.core.mongo import Mongo
from kernapay.core.repository import Repository
from kernapay.gateway.base import GatewayRefund
from kernapay.payments.dtos import PaymentSummary
from kernapay.payments.models import Mismatch, Payment, Refund, Step
from kernapay.payments.refund_update import recorded, refused
from kernapay.payments.states import MOVES, Event, RefundState, RefundStatus, Source, Status

_NEWEST_FIRST = (
    OrderBy("created_at", descending=True),
    OrderBy("reference_id", descending=True),
)
# Razorpay asks the bank for up to three days before it gives a late authorisation up.
_LATE = timedelta(days=4)


class PaymentRepository(Repository[Payment]):
    model = Payment

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("payment_history:{user_id}", field="{skip}:{count}", ttl=timedelta(hours=2))
    async def history(self, *, user_id: str, skip: int, count: int) -> list[PaymentSummary]:
        return await self.select(
            PaymentSummary, *_NEWEST_FIRST, LimitOffset(count, skip), user_id=user_id
        )

    async def history_after(
        self, user_id: str, reference_id: str, count: int
    ) -> list[PaymentSummary]:
        """The page that follows a payment; new payments do not shift it."""
        return await self.select(
            PaymentSummary,
            *_NEWEST_FIRST,
            LimitOffset(count),
            user_id=user_id,
            __raw__=_older_than(reference_id),
        )

    async def received(
        self, provider_id: str, count: int, skip: int, cursor: str | None
    ) -> list[PaymentSummary]:
        """What was paid to a provider, newest first; after the payment `cursor` when there is one."""
        where: dict[str, Any] = {} if cursor is None else {"__raw__": _older_than(cursor)}
        return await self.select(
            PaymentSummary,
            *_NEWEST_FIRST,
            LimitOffset(count, 0 if cursor else skip),
            provider_id=provider_id,
            status__in=[Status.SUCCESS, Status.REFUNDED],
            **where,
        )

    async def claim(self, payment: Payment) -> tuple[Payment, bool]:
        """Insert the payment unless its key is taken: the row, and whether it is this one."""
        payment.check_at = payment.created_at
        found, new = await self.add_or_get(payment, "user_id", "idempotency_key")
        crash_point("create.inserted")
        # Also for a repeat: the process that inserted the row may have died before its own eviction.
        await self.history.evict(user_id=str(found.user_id))
        return found, new

    async def take_order_lease(self, payment: Payment, lasts: timedelta) -> Payment | None:
        """Get the right to make the order, unless it is made or another caller has the right."""
        at = self.clock()
        return await self.update_where(
            {**_one(payment), "razorpay_order_id": None, "order_lease_until__lt": at},
            set__order_lease_until=at + lasts,
        )

    async def release_order_lease(self, payment: Payment) -> None:
        await self.update_where(
            {**_one(payment), "order_lease_until": payment.order_lease_until},
            set__order_lease_until=datetime.fromtimestamp(0, UTC),
        )

    async def attach_order(self, payment: Payment, order_id: str) -> Payment | None:
        """Write the gateway's order id, once; None when the payment has one already."""
        attached = await self.update_where(
            {**_one(payment), "razorpay_order_id": None},
            set__order_id=order_id,
            set__razorpay_order_id=order_id,
        )
        crash_point("create.written")
        if attached is not None:
            await self.history.evict(user_id=str(payment.user_id))
        return attached

    async def move(
        self, event: Event, payment: Payment, step: dict[str, Any], **change: Any
    ) -> Payment | None:
        """Make the event's move, or return None when the payment is already past it."""
        sources, target = MOVES[event]
        at = self.clock()
        async with self.history.changing(user_id=str(payment.user_id)):
            moved = await self.update_where(
                {
                    **_one(payment),
                    "status__in": sources,
                    "razorpay_order_id": payment.razorpay_order_id,
                    "amount": payment.amount,
                    "currency": payment.currency,
                },
                set__status=target,
                push__history=Step(status=target, at=at, **step),
                **({"set__paid_at": at} if target is Status.SUCCESS else {}),
                **change,
            )
            crash_point("settle.written")
        return moved

    async def note_authorized(
        self, payment: Payment, step: dict[str, Any], **change: Any
    ) -> Payment | None:
        """Remember that the bank agreed; the money is not ours before the capture."""
        at = self.clock()
        return await self.update_where(
            {**_one(payment), "status": Status.PENDING, "authorized_at": None},
            set__authorized_at=at,
            push__history=Step(status=Status.PENDING, at=at, **step),
            **change,
        )

    async def record_refund(
        self, payment: Payment, refund: GatewayRefund, step: dict[str, Any]
    ) -> Payment:
        """Enter what the gateway says of a refund and add the refunds up, in one update."""
        return await self._update_refunds(payment, recorded(refund, step, self.clock()))

    async def refuse_refund(
        self, payment: Payment, refund: Refund, why: str, step: dict[str, Any]
    ) -> Payment:
        """Give a reservation back: the gateway refused it for good."""
        return await self._update_refunds(
            payment, refused(str(refund.receipt), why, step, self.clock())
        )

    async def _update_refunds(self, payment: Payment, pipeline: list[dict[str, Any]]) -> Payment:
        def update() -> Payment | None:
            row = self.rows.find_one_and_update(
                self._where(_one(payment)),
                pipeline,
                return_document=ReturnDocument.AFTER,
            )
            return self._document(row)

        async with self.history.changing(user_id=str(payment.user_id)):
            changed = await self._run(update)
            crash_point("settle.refund_written")
        return changed or payment

    async def reserve_refund(self, payment: Payment, refund: Refund) -> Payment | None:
        """Set an amount aside, unless its key is taken or more would go back than came in."""
        taken = {
            "$filter": {
                "input": {"$ifNull": ["$refunds", []]},
                "cond": {"$ne": ["$$this.status", RefundState.FAILED.value]},
            }
        }
        total = {"$sum": {"$map": {"input": taken, "in": "$$this.amount"}}}
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
            push__history=Step(
                status=Status.SUCCESS,
                at=refund.created_at,
                source=refund.source,
                event="refund.requested",
                actor=refund.actor,
                reason=f"refund requested: {refund.amount}",
            ),
            set__refund_status=RefundStatus.REQUESTED,
            set__check_at=refund.created_at,
            set__checks=0,
        )
        await self.history.evict(user_id=str(payment.user_id))
        return reserved

    async def take_refund_lease(
        self, payment: Payment, refund: Refund, lasts: timedelta
    ) -> Payment | None:
        """Get the right to ask the gateway for a reserved refund, unless another caller has it."""
        at = self.clock()
        unasked = {"receipt": refund.receipt, "refundId": None, "leaseUntil": {"$lt": at}}
        return await self._change_refund(payment, unasked, {"leaseUntil": at + lasts})

    async def release_refund_lease(self, payment: Payment, refund: Refund) -> None:
        await self._change_refund(
            payment, {"receipt": refund.receipt}, {"leaseUntil": datetime.fromtimestamp(0, UTC)}
        )

    async def _change_refund(
        self, payment: Payment, which: dict[str, Any], change: dict[str, Any]
    ) -> Payment | None:
        return await self.update_where(
            {**_one(payment), "__raw__": {"refunds": {"$elemMatch": which}}},
            __raw__={"$set": {f"refunds.$.{name}": value for name, value in change.items()}},
        )

    async def claim_stale(self, after: timedelta, delays: Sequence[timedelta]) -> Payment | None:
        """Take one payment or refund that should have its end by now; its next look is scheduled with that."""
        at = self.clock()
        due = {"check_at__lte": at - after}
        candidates: tuple[dict[str, Any], ...] = (
            {"status": Status.PENDING},
            {"__raw__": {"refunds.status": {"$in": ["requested", "pending"]}}},
            # A failed payment may be authorised late, for as long as the gateway asks the bank.
            {"status": Status.FAILED, "created_at__gt": at - _LATE},
        )
        for where in candidates:
            for payment in await self.list(OrderBy("check_at"), LimitOffset(4), **where, **due):
                delay = delays[min(payment.checks or 0, len(delays) - 1)]
                claimed = await self.update_where(
                    {**_one(payment), "check_at": payment.check_at},
                    set__check_at=at + delay - after,
                    inc__checks=1,
                )
                if claimed is not None:
                    return claimed
        return None

    async def note_fee(self, payment: Payment, fee: int | None, tax: int | None) -> None:
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
        await self.update_where(_one(payment), add_to_set__surplus_orders=order_ids)


def _one(payment: Payment) -> dict[str, Any]:
    # The user's id is the shard key: an update without it is refused, or asks every shard.
    return {"id": payment.pk, "user_id": payment.user_id}


def _older_than(reference_id: str) -> dict[str, Any]:
    # The reference carries the time of creation, so a cursor needs no look-up.
    at = datetime.fromtimestamp(int(reference_id.split("_")[2]) / 1000, UTC)
    return {
        "$or": [
            {"createdAt": {"$lt": at}},
            {"createdAt": at, "referenceId": {"$lt": reference_id}},
        ]
    }


def first_step(at: datetime, actor: str) -> Step:
    return Step(status=Status.PENDING, at=at, source=Source.API, event="created", actor=actor)
