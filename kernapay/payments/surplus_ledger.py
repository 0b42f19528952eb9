"""The writes to money that came too late, twice, or for a second order. `ledger.py` has the others.

A payment of the gateway pays the sale, or goes back, and never both: the updates exclude each other.
"""

from typing import Any

from kernapay.gateway.base import GatewayPayment
from kernapay.payments import surplus_pipelines
from kernapay.payments.evidence import Origin
from kernapay.payments.history import make_step, push_step
from kernapay.payments.lifetimes import SURPLUS_PAUSES
from kernapay.payments.models import Payment, SurplusPayment
from kernapay.payments.refund_ledger import RefundLedger, key_of, require
from kernapay.payments.states import MOVES, PAID, Event, RefundState, SurplusReason
from kernapay.storage.queue_rules import step_of
from kernapay.storage.updates import Changed, RowChanged


class SurplusLedger(RefundLedger):
    """A base of the ledger, and no repository of its own."""

    async def approve(
        self, payment: Payment, origin: Origin, gateway_payment: GatewayPayment
    ) -> Payment:
        """Store a person's decision that a payment of the gateway pays its sale although that has ended.

        Return the payment as it is afterwards. Nothing changes if this is decided already, the sale is paid or was
        cancelled, or the money goes back. Raises RowGone.
        """
        approved = await self.update_if(
            key_of(payment),
            {
                "final": True,
                "cancelled_at": None,
                "status__in": MOVES[Event.CAPTURED].sources,
                "approved_payment_id__ne": gateway_payment.id,
                **is_not_surplus(gateway_payment),
            },
            set__approved_payment_id=gateway_payment.id,
            **push_step(
                make_step(
                    payment.status,
                    self.clock(),
                    origin,
                    gateway_payment,
                    reason="late payment approved",
                )
            ),
        )
        self.signal(payment)
        return approved.row if isinstance(approved, Changed) else approved.current

    async def add_surplus(
        self,
        payment: Payment,
        gateway_payment: GatewayPayment,
        reason: SurplusReason,
        origin: Origin,
    ) -> Payment | None:
        """Enter money that is not for the sale, once.

        Return None when it is entered already, or pays the sale or, as a person has decided, may do so.
        """
        payment_id, paid = gateway_payment.id, [status.value for status in PAID]
        is_free = {
            "surplusPayments.paymentId": {"$ne": payment_id},
            "$or": [
                {"status": {"$in": paid}, "razorpayPaymentId": {"$ne": payment_id}},
                {"status": {"$nin": paid}, "approvedPaymentId": {"$ne": payment_id}},
            ],
        }
        pipeline = surplus_pipelines.add(gateway_payment, reason, origin, self.clock())
        return await self._update(payment, pipeline, __raw__=is_free)

    async def record_surplus(
        self,
        payment: Payment,
        surplus: SurplusPayment,
        status: RefundState,
        refund_id: str | None,
        origin: Origin,
    ) -> Payment:
        """Store the state of the refund of a surplus payment in place of the one that was read. Return the payment.

        Nothing changes without news. If a refund is to be requested again, the worker does so after a pause that grows.
        Raises RowChanged if the state has changed since it was read.
        """
        if (status, refund_id) == (surplus.status, surplus.refund_id):
            return payment
        known = {
            "paymentId": surplus.payment_id,
            "status": surplus.status.value,
            "refundId": surplus.refund_id,
        }
        checks = 1 if surplus.status is RefundState.FAILED else payment.surplus_checks + 1
        at = self.clock()
        pipeline = surplus_pipelines.record(
            surplus.payment_id,
            status,
            refund_id,
            origin,
            at,
            due=at + step_of(SURPLUS_PAUSES, checks),
            checks=checks,
        )
        is_same = {"surplusPayments": {"$elemMatch": known}}
        row = await self._update(payment, pipeline, __raw__=is_same)
        if row is None:
            raise RowChanged
        return row

    async def record_surplus_orders(self, payment: Payment, order_ids: list[str]) -> None:
        """Store further orders of this payment at the gateway. Nobody may pay them."""
        row = await self.update_where(
            key_of(payment), is_visible=False, add_to_set__surplus_orders=order_ids
        )
        require(row)


def is_not_surplus(gateway_payment: GatewayPayment) -> dict[str, Any]:
    """Return the condition that a payment of the gateway does not go back as surplus."""
    return {"surplus_payments__payment_id__ne": gateway_payment.id}
