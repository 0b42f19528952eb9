"""Every write to a payment. An import contract says who may import it: those that move money, and bootstrap.

Each method makes one conditional update, and evicts the cached history when the update makes it stale.
"""

from datetime import timedelta
from typing import Any

import structlog

from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayPayment
from kernapay.payments.changes import enter_mismatch, replace_dispute
from kernapay.payments.customer_ledger import CustomerLedger
from kernapay.payments.evidence import Origin
from kernapay.payments.history import begin_history, make_step, push_step
from kernapay.payments.import_ledger import ImportLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.metadata import hash_metadata
from kernapay.payments.metrics import count_payment
from kernapay.payments.models import Dispute, Mismatch, Payment
from kernapay.payments.move_ledger import MoveLedger
from kernapay.payments.note_hashes import hash_notes
from kernapay.payments.order_notes import hash_key
from kernapay.payments.payout_ledger import PayoutLedger
from kernapay.payments.refund_ledger import LEASE_ENDED, key_of, require
from kernapay.payments.repository import (
    PaymentRepository,
    has_open_refund,
    is_late_payment_possible,
    is_unpaid,
)
from kernapay.payments.states import MOVES, Event, Status
from kernapay.payments.surplus_ledger import SurplusLedger
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import DuplicateRow
from kernapay.storage.signals import Signaller
from kernapay.storage.updates import Changed

_log = structlog.get_logger("kernapay.payments")


class PaymentLedger(MoveLedger, PayoutLedger, SurplusLedger, CustomerLedger, ImportLedger):
    model = Payment

    def __init__(
        self,
        mongo: Mongo,
        payments: PaymentRepository,
        lifetimes: Lifetimes,
        signaller: Signaller,
    ) -> None:
        super().__init__(mongo, payments, signaller)
        self._expire_after = lifetimes.expire_after
        # A queue for each kind of work, so that a long one does not hold up the others.
        rules = lifetimes.check_rules
        self.unpaid = self._queue("unpaid_payments", rules(is_unpaid))
        self.late = self._queue(
            "late_payments",
            rules(lambda at: is_late_payment_possible(lifetimes.may_come_late(at))),
        )
        self.ending = self._queue("ending_sales", lifetimes.end_rules())
        self.surplus = self._queue("surplus_payments", lifetimes.surplus_rules())
        self.open_refunds = self._queue("open_refunds", rules(has_open_refund))

    async def claim(
        self, payment: Payment, origin: Origin, *, is_key_known: bool = True
    ) -> tuple[Payment, bool]:
        """Insert the payment, unless one with its key exists. Return the stored payment, and whether it is new.

        Unless its key may be known, no payment that was rebuilt after a restore is looked for.
        """
        self._begin(payment, origin)
        rebuilt = await self._adopt_rebuilt(payment) if is_key_known else None
        if rebuilt is not None:
            return rebuilt, False
        row, is_new = await self.add_or_get(payment, "user_id", "idempotency_key")
        crash_point("create.inserted")
        if is_new:
            count_payment(row, origin.source)
        # Evict for a repeat too: the process that inserted the payment may have died before its own eviction.
        await self.evict_history(row)
        return row, is_new

    async def restore(self, payment: Payment, origin: Origin) -> Payment:
        """Insert a payment that the database lost, unless it is there. Return the stored payment."""
        self._begin(payment, origin)
        try:
            row = await self.add(payment)
        except DuplicateRow:
            row = await self.get(id=payment.pk)
        await self.evict_history(row)
        return row

    async def take_order_lease(self, payment: Payment, duration: timedelta) -> Payment | None:
        """Take the lease for creating the order. Return None when another caller has it, or an order is attached."""
        at = self.clock()
        free_lease = {
            "razorpay_order_id": None,
            "final__ne": True,
            # Not `$lt`: a row of another system has no lease.
            "__raw__": {"orderLeaseUntil": {"$not": {"$gte": at}}},
        }
        until = at + duration
        taken = await self.update_if(
            key_of(payment), free_lease, is_visible=False, set__order_lease_until=until
        )
        return taken.row if isinstance(taken, Changed) else None

    async def release_order_lease(self, payment: Payment) -> bool:
        """End the lease that the caller holds. Return False if it has ended and another caller holds one."""
        held = {"order_lease_until": payment.order_lease_until}
        released = await self.update_if(
            key_of(payment), held, is_visible=False, set__order_lease_until=LEASE_ENDED
        )
        return isinstance(released, Changed)

    async def attach_order(self, payment: Payment, order_id: str) -> Payment:
        """Store the gateway's order id, unless the payment has one. Return the payment as stored afterwards.

        Raises RowGone.
        """
        ids: dict[str, Any] = {"set__order_id": order_id, "set__razorpay_order_id": order_id}
        has_none = {"razorpay_order_id": None}
        if await self.assign({**key_of(payment), **has_none, "final__ne": True}, **ids):
            payment.order_id = payment.razorpay_order_id = order_id
            row = payment
        else:
            attached = await self.update_if(key_of(payment), has_none, **ids)
            row = attached.row if isinstance(attached, Changed) else attached.current
        crash_point("create.written")
        # The history has not grown: nobody is told.
        await self._history.evict(user_id=str(payment.user_id))
        return row

    async def record_authorization(
        self, payment: Payment, origin: Origin, gateway_payment: GatewayPayment
    ) -> Payment | None:
        """Store that the bank authorised an unpaid payment, whose status stays, and let the worker look at it at once.

        Return None when that is stored already, or when the status has changed. Raises RowGone.
        """
        at = self.clock()
        recorded = await self.update_if(
            key_of(payment),
            {
                "status": payment.status,
                "status__in": MOVES[Event.CAPTURED].sources,
                "authorized_at": None,
            },
            set__authorized_at=at,
            # A check that is due before stays so.
            min__check_at=at,
            set__checks=0,
            **push_step(make_step(payment.status, at, origin, gateway_payment)),
        )
        self.signal(payment)
        return recorded.row if isinstance(recorded, Changed) else None

    async def record_fee(self, payment: Payment, fee: int | None, tax: int | None) -> None:
        """Store the gateway's fee and the tax included in it, in minor units."""
        require(await self.update_where(key_of(payment), set__fee=fee, set__tax=tax))

    async def record_dispute(
        self, payment: Payment, known: Dispute | None, dispute: Dispute, origin: Origin, reason: str
    ) -> Payment | None:
        """Store a dispute in place of the known one, or as a new one without.

        Return None when the dispute or the payment's status has changed since they were read. Raises RowGone.
        """
        step = make_step(payment.status, dispute.updated_at, origin, reason=reason)
        step.razorpay_payment_id = dispute.payment_id
        where, change = replace_dispute(payment, known, dispute, step)
        recorded = await self.update_if(key_of(payment), where, **change)
        self.signal(payment)
        crash_point("dispute.written")
        return recorded.row if isinstance(recorded, Changed) else None

    async def end_warning(self, payment: Payment, dispute: Dispute) -> bool:
        """Store that the warning about a deadline was sent. Return False if the dispute changed meanwhile."""
        due = {"disputeId": dispute.dispute_id, "warnAt": dispute.warn_at}
        ended = await self.update_if(
            key_of(payment),
            {"__raw__": {"disputes": {"$elemMatch": due}}},
            is_visible=False,
            __raw__={"$set": {"disputes.$.warnAt": None}},
        )
        return isinstance(ended, Changed)

    async def record_mismatch(self, payment: Payment, mismatch: Mismatch) -> bool:
        """Store evidence that does not match. Return False if it is stored already. Raises RowGone."""
        same = {
            "source": mismatch.source.value,
            "reason": mismatch.reason,
            "paymentId": mismatch.payment_id,
            "orderId": mismatch.order_id,
            "disputeId": mismatch.dispute_id,
        }
        recorded = await self.update_if(
            key_of(payment),
            {"__raw__": {"mismatches": {"$not": {"$elemMatch": same}}}},
            is_visible=False,
            **enter_mismatch(mismatch),
        )
        return isinstance(recorded, Changed)

    def _begin(self, payment: Payment, origin: Origin) -> None:
        payment.note_hashes = hash_notes(payment.notes)
        payment.metadata_hashes = hash_metadata(payment.metadata)
        payment.check_at = payment.created_at
        payment.ends_at = payment.payable_until = payment.created_at + self._expire_after
        begin_history(payment, make_step(Status.PENDING, payment.created_at, origin))

    async def _adopt_rebuilt(self, payment: Payment) -> Payment | None:
        """Return the payment that was rebuilt after a restore and has this key, which it knows only by its hash."""
        key = str(payment.idempotency_key)
        key_hash = hash_key(payment.user_id, key)
        row = await self.get_one_or_none(user_id=payment.user_id, key_hash=key_hash)
        if row is None:
            return None
        same = {"key_hash": key_hash}
        try:
            # Of two repeats at once, the second finds the key that the first one stored.
            adopted = await self.update_if(
                key_of(row), same, set__idempotency_key=key, unset__key_hash=True
            )
        except DuplicateRow:
            # The client bought again before this payment was rebuilt. The later payment answers the key.
            forgotten = await self.update_if(key_of(row), same, unset__key_hash=True)
            if isinstance(forgotten, Changed):
                _log.warning("rebuilt_key_taken", reference=row.reference_id)
            return None
        return adopted.row if isinstance(adopted, Changed) else adopted.current

    def _queue(self, name: str, rules: Rules) -> Queue[Payment]:
        # The queue writes only the time and the number of checks, so it may write to payments.
        return Queue(name, self, rules, key=key_of)
