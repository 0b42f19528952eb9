"""Money that came in and is not for its sale: a second payment of an order, or one that came too late. It goes back."""

from typing import Final

import structlog

from kernapay.core.crash_points import crash_point
from kernapay.core.metrics import Counter
from kernapay.gateway.base import GatewayPayment, GatewayRefund, PaymentGateway
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment, SurplusPayment
from kernapay.payments.outcomes import Outcome, Settled
from kernapay.payments.states import RefundState, Source, SurplusReason

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
        if refund.status == RefundState.PROCESSED and refund.amount >= surplus.amount:
            status = RefundState.PROCESSED
        row = await self._ledger.record_surplus(payment, surplus, status, refund.id, origin)
        is_news = len(row.history) != len(payment.history)
        return Settled(row, Outcome.MOVED if is_news else Outcome.UNCHANGED)

    async def give_back(self, payment: Payment) -> None:
        """Return every surplus payment of a row, as far as the gateway has not done so. The worker calls this.

        Raises GatewayError, Unavailable. A repeat goes on from what the gateway has.
        """
        for surplus in payment.surplus_payments:
            if surplus.status in (RefundState.REQUESTED, RefundState.PENDING):
                status, refund_id = await self._give_back(surplus.payment_id)
                await self._ledger.record_surplus(payment, surplus, status, refund_id, _ORIGIN)

    async def _give_back(self, payment_id: str) -> tuple[RefundState, str | None]:
        gateway_payment = await self._gateway.fetch_payment(payment_id)
        if gateway_payment.status == "authorized":
            gateway_payment = await self._gateway.capture(
                payment_id, gateway_payment.amount, gateway_payment.currency
            )
        made = await self._gateway.refunds_of(payment_id)
        standing = [refund for refund in made if refund.status != RefundState.FAILED]
        rest = gateway_payment.amount - sum(refund.amount for refund in standing)
        if rest > 0:
            standing.append(await self._refund(gateway_payment, rest, len(made) - len(standing)))
            crash_point("surplus.made")
        is_back = all(refund.status == RefundState.PROCESSED for refund in standing)
        return RefundState.PROCESSED if is_back else RefundState.PENDING, standing[-1].id

    async def _refund(
        self, gateway_payment: GatewayPayment, amount: int, failed: int
    ) -> GatewayRefund:
        # Derived from the payment, so a repeat returns nothing twice. A bank that gave the money back to us needs a
        # refund of its own.
        key = f"surplus_{gateway_payment.id}" + (f"_{failed}" if failed else "")
        return await self._gateway.refund(
            gateway_payment.id, amount=amount, key=key, receipt=key, speed="normal"
        )


def find_surplus(payment: Payment, payment_id: str) -> SurplusPayment | None:
    """Return the entry of a gateway's payment that is surplus for its order, or None."""
    return next((each for each in payment.surplus_payments if each.payment_id == payment_id), None)
