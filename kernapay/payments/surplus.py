"""Money that came in and is not for its sale: a second payment of an order, or one that came too late. It goes back."""

from typing import Final

import structlog

from kernapay.core.crash_points import crash_point
from kernapay.core.metrics import Counter
from kernapay.gateway.base import GatewayRefund, PaymentGateway
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment, SurplusPayment
from kernapay.payments.outcomes import Outcome, Settled
from kernapay.payments.returns import sum_held, sum_lost
from kernapay.payments.states import RefundState, Source, SurplusReason
from kernapay.payments.surplus_refunds import look_at_surplus, return_surplus

_log = structlog.get_logger("kernapay.payments")
_ENTERED: Final = Counter(
    "kernapay_surplus_payments_total",
    "Payments that came in and were not for their sale, by reason",
    ("reason",),
)
_ORIGIN: Final = Origin(Source.RECONCILIATION, "surplus")


class SurplusPayments:
    """Enter surplus payments, and return each in full. The worker returns them, so no caller waits for it."""

    def __init__(self, ledger: PaymentLedger, gateway: PaymentGateway) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self.due = ledger.surplus

    async def enter(self, payment: Payment, evidence: Evidence, reason: SurplusReason) -> Settled:
        """Enter the evidence's payment as surplus, once."""
        gateway_payment = evidence.payment
        row = await self._ledger.add_surplus(payment, gateway_payment, reason, evidence.origin)
        crash_point("surplus.entered")
        _ENTERED.labels(reason.value).inc()
        _log.warning(
            "surplus_payment",
            reference=payment.reference_id,
            razorpay_payment=gateway_payment.id,
            reason=reason.value,
        )
        return Settled(row, Outcome.SURPLUS, reason.value)

    async def note_refund(
        self, payment: Payment, surplus: SurplusPayment, refund: GatewayRefund, origin: Origin
    ) -> Settled:
        """Note the news about a refund of a surplus payment. If it failed, the worker makes another one."""
        status = RefundState.REQUESTED if refund.status == RefundState.FAILED else surplus.status
        if refund.status == RefundState.PROCESSED and surplus.status is not RefundState.PROCESSED:
            if surplus.refund_id not in (None, refund.id) or _may_have_failed(surplus):
                return Settled(payment, Outcome.UNCHANGED)  # the worker asks the gateway
            if refund.amount >= surplus.amount:
                status = RefundState.PROCESSED
        row = await self._ledger.record_surplus(payment, surplus, status, refund.id, origin)
        is_news = len(row.history) != len(payment.history)
        return Settled(row, Outcome.MOVED if is_news else Outcome.UNCHANGED)

    async def give_back(self, payment: Payment) -> None:
        """Return every surplus payment of a row, as far as the gateway has not done so. The worker calls this.

        Raises GatewayError, Unavailable. A repeat goes on from what the gateway has.
        """
        for surplus in payment.surplus_payments:
            is_open = surplus.status in (RefundState.REQUESTED, RefundState.PENDING)
            # What the customer's bank takes back must not be returned a second time.
            lost = sum_lost(payment, surplus.payment_id)
            if is_open and sum_held(payment, surplus.payment_id) <= lost:
                status, refund_id = await self._give_back(surplus.payment_id, lost)
                await self._ledger.record_surplus(payment, surplus, status, refund_id, _ORIGIN)

    async def _give_back(self, payment_id: str, lost: int) -> tuple[RefundState, str | None]:
        surplus = await look_at_surplus(self._gateway, payment_id, lost)
        if surplus.payment.status == "authorized":
            await self._gateway.capture(
                payment_id, surplus.payment.amount, surplus.payment.currency
            )
        if surplus.remaining > 0:
            await return_surplus(self._gateway, surplus)
            crash_point("surplus.made")
            surplus = await look_at_surplus(self._gateway, payment_id, lost)
        standing = [each.id for each in surplus.refunds if each.status != RefundState.FAILED]
        state = RefundState.PROCESSED if surplus.is_returned else RefundState.PENDING
        return state, standing[-1] if standing else None


def _may_have_failed(surplus: SurplusPayment) -> bool:
    # Older news of a refund may come after that of its failure.
    return surplus.status is RefundState.REQUESTED and surplus.refund_id is not None


def find_surplus(payment: Payment, payment_id: str) -> SurplusPayment | None:
    """Return the entry of a gateway's payment that is surplus for its order, or None."""
    return next((each for each in payment.surplus_payments if each.payment_id == payment_id), None)
