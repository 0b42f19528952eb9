"""The write that changes the status of a payment. `ledger.py` has the others."""

from collections.abc import Sequence

from kernapay.core.crash_points import crash_point
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.changes import build_changes, end_sale, enter_refunds, find_reason
from kernapay.payments.evidence import Origin
from kernapay.payments.history import has_steps, make_step, push_step
from kernapay.payments.models import Payment, Step
from kernapay.payments.refund_ledger import RefundLedger, key_of
from kernapay.payments.returns import find_surplus
from kernapay.payments.states import MOVES, Event, RefundStatus
from kernapay.payments.surplus_ledger import is_not_surplus
from kernapay.storage.repository import Where
from kernapay.storage.updates import Changed, Refused, RowChanged


class MoveLedger(RefundLedger):
    """A base of the ledger, and no repository of its own."""

    async def move(
        self,
        event: Event,
        payment: Payment,
        origin: Origin,
        gateway_payment: GatewayPayment | None = None,
        signature: str | None = None,
        refunds: Sequence[GatewayRefund] = (),
        *,
        late: bool = False,
    ) -> Payment | None:
        """Make the event's move and store the gateway's data.

        Return None when the payment does not allow the move: it was made before, the status does not allow it, the
        gateway's payment is surplus, or the sale has ended. With `late`, it must have ended without being cancelled.
        Raises RowChanged if the order, the amount or the currency are no longer those of `payment`, and RowGone.

        `refunds` are entered as requested: `record_refund` brings each to its state, and if the process dies before
        that, they are open refunds, which the worker checks.
        """
        sources, target, is_final = MOVES[event]
        is_open = {"final": True, "cancelled_at": None} if late else {"final__ne": True}
        at = self.clock()
        reason = find_reason(event, gateway_payment)
        step = make_step(target, at, origin, gateway_payment, reason, final=is_final, late=late)
        if open_refunds := enter_refunds(refunds, origin, at):
            step.refund_status = RefundStatus.REQUESTED
        only_if = {
            **is_open,
            **(is_not_surplus(gateway_payment) if gateway_payment else {}),
            "status__in": sources,
            "razorpay_order_id": payment.razorpay_order_id,
            "amount": payment.amount,
            "currency": payment.currency,
        }
        change = {
            "set__status": target,
            **build_changes(event, gateway_payment, signature, at),
            **end_sale(event, at, late=late),
            **open_refunds,
            **push_step(step),
            "set__updated_at": at,
        }
        async with self.changing_history(payment):
            moved = await self._write(payment, step, only_if, change)
            crash_point("settle.written")
        if isinstance(moved, Changed):
            return moved.row
        current = moved.current
        allows = bool(current.final and not current.cancelled_at) if late else not current.final
        if gateway_payment and find_surplus(current, gateway_payment.id):
            allows = False
        if allows and current.status in sources:
            raise RowChanged
        return None

    async def _write(
        self, payment: Payment, step: Step, only_if: Where, change: Where
    ) -> Changed[Payment] | Refused[Payment]:
        """Write a change with its step, in one batch with other writes. Raises RowGone."""
        key = key_of(payment)
        # Whatever the payment as it was read does not show has added a step. So without one, it is known what it
        # becomes, and nobody has to read it.
        as_read = has_steps(len(payment.history))
        is_made = await self.assign({**key, **only_if, **as_read}, is_visible=False, **change)
        if is_made:
            return Changed(payment.with_change(change))
        written = await self.update_if(key, only_if, is_visible=False, **change)
        if is_made is None and isinstance(written, Refused) and step in written.current.history:
            # Of two callers with the same evidence in the same millisecond, each may have made it.
            return Changed(written.current)
        return written
