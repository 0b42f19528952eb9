"""Money that came in and is not for its sale: a second payment of an order, or one that came too late. It goes back."""

from functools import partial
from typing import Final

import structlog

from kernapay.core.crash_points import crash_point
from kernapay.core.errors import KernaPayError
from kernapay.core.metrics import Counter, start_at_zero
from kernapay.gateway.base import GatewayPayment, GatewayRefund, GatewayRejected, PaymentGateway
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.metrics import MISMATCHES
from kernapay.payments.models import Mismatch, Payment, SurplusPayment
from kernapay.payments.outcomes import Outcome, Settled
from kernapay.payments.refund_checks import PaymentDisputed
from kernapay.payments.refund_requests import DISPUTED
from kernapay.payments.returns import find_surplus, is_counted, sum_held, sum_lost
from kernapay.payments.states import RefundState, Source, SurplusReason
from kernapay.payments.surplus_refunds import Surplus, look_at_surplus, return_surplus
from kernapay.storage.updates import RowChanged

_log = structlog.get_logger("kernapay.payments")
_ENTERED: Final = Counter(
    "kernapay_surplus_payments_total",
    "Payments that came in and were not for their sale, by reason",
    ("reason",),
)
start_at_zero(_ENTERED, [reason.value for reason in SurplusReason])
# The pauses between them grow, so the last one fails hours after the first one.
_MOST_FAILURES: Final = 5
_ORIGIN: Final = Origin(Source.RECONCILIATION, "surplus")


class SurplusPayments:
    """Enter surplus payments, and return each in full. The worker returns them, so no caller waits for it."""

    def __init__(self, ledger: PaymentLedger, gateway: PaymentGateway) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self.due = ledger.surplus

    async def enter(self, payment: Payment, evidence: Evidence, reason: SurplusReason) -> Settled:
        """Enter the evidence's payment as surplus, once, unless it has become the one that counts.

        Raises RowChanged if a person has just decided that it is to count.
        """
        gateway_payment = evidence.payment
        row = await self._ledger.add_surplus(payment, gateway_payment, reason, evidence.origin)
        crash_point("surplus.entered")
        if row is None:
            current = await self._ledger.get(id=payment.pk)
            if is_counted(current, gateway_payment.id):
                return Settled(current, Outcome.UNCHANGED)
            if surplus := find_surplus(current, gateway_payment.id):
                return Settled(current, Outcome.SURPLUS, surplus.reason.value)
            raise RowChanged
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
        """Note the news about a refund of a surplus payment. If it failed, the worker makes another one.

        Raises RowChanged if somebody has noted other news meanwhile.
        """
        status = _judge_news(surplus, refund)
        if status is None:
            return Settled(payment, Outcome.UNCHANGED)
        row = await self._ledger.record_surplus(payment, surplus, status, refund.id, origin)
        is_news = len(row.history) != len(payment.history)
        return Settled(row, Outcome.MOVED if is_news else Outcome.UNCHANGED)

    async def give_back(self, payment: Payment) -> None:
        """Refund every surplus payment of a row that is not returned yet. The worker calls this.

        A failure does not stop the others. A repeat continues from the state at the gateway.
        Raises GatewayError, Unavailable, when all were tried.
        """
        errors: list[KernaPayError] = []
        for surplus in payment.surplus_payments:
            if not _is_due(payment, surplus):
                continue
            try:
                await self._give_back(payment, surplus)
            except KernaPayError as error:
                _log.warning("surplus_waits", code=error.code, **_name(payment, surplus))
                errors.append(error)
        if errors:
            raise errors[0]

    async def return_rest(self, gateway_payment: GatewayPayment) -> None:
        """Refund the rest of a surplus payment at once: a second one of an order, or one of a surplus order.

        A repeat does not return the money again. Raises PaymentDisputed, GatewayError, RowChanged.
        """
        payment_id = gateway_payment.id
        disputed = await self._ledger.get_one_or_none(disputes__payment_id=payment_id)
        lost = 0 if disputed is None else sum_lost(disputed, payment_id)
        if disputed is not None and sum_held(disputed, payment_id) > lost:
            raise PaymentDisputed(DISPUTED)
        await return_surplus(self._gateway, await look_at_surplus(self._gateway, payment_id, lost))
        payment = await self._ledger.get_one_or_none(surplus_payments__payment_id=payment_id)
        surplus = None if payment is None else find_surplus(payment, payment_id)
        if payment and surplus and surplus.status is RefundState.FAILED:
            # Somebody tries again what the worker gave up, so it looks after it again.
            again = RefundState.REQUESTED
            await self._ledger.record_surplus(payment, surplus, again, surplus.refund_id, _ORIGIN)

    async def _give_back(self, payment: Payment, entry: SurplusPayment) -> None:
        lost = sum_lost(payment, entry.payment_id)
        ask = partial(look_at_surplus, self._gateway, entry.payment_id, lost, entered=entry.amount)
        surplus = await ask()
        if surplus.payment.status == "authorized":
            await self._gateway.capture(
                entry.payment_id, surplus.payment.amount, surplus.payment.currency
            )
        refusal = None
        if surplus.remaining > 0:
            refusal = await self._request(surplus)
            surplus = await ask()
        if refusal and surplus.remaining > 0:
            await self._give_up(payment, entry, surplus, refusal)
            return
        standing = [each.id for each in surplus.refunds if each.status != RefundState.FAILED]
        state = RefundState.PROCESSED if surplus.is_returned else RefundState.PENDING
        refund_id = standing[-1] if standing else None
        await self._ledger.record_surplus(payment, entry, state, refund_id, _ORIGIN)

    async def _request(self, surplus: Surplus) -> str | None:
        """Refund the rest of a surplus payment. Return the reason if a repeat would fail as well."""
        if surplus.failures >= _MOST_FAILURES:
            return "its refunds keep failing"
        try:
            await return_surplus(self._gateway, surplus)
        except GatewayRejected as error:
            return error.detail
        crash_point("surplus.made")
        return None

    async def _give_up(
        self, payment: Payment, entry: SurplusPayment, surplus: Surplus, why: str
    ) -> None:
        """Store a mismatch for money that cannot be returned, so that a person decides."""
        mismatch = Mismatch(
            at=self._ledger.clock(),
            source=Source.RECONCILIATION,
            reason="surplus_not_returned",
            event=_ORIGIN.event,
            order_id=payment.razorpay_order_id,
            payment_id=entry.payment_id,
            amount=surplus.remaining,
            currency=surplus.payment.currency,
        )
        if await self._ledger.record_mismatch(payment, mismatch):
            MISMATCHES.labels(Source.RECONCILIATION.value).inc()
        _log.error("surplus_given_up", reason=why, **_name(payment, entry))
        await self._ledger.record_surplus(
            payment, entry, RefundState.FAILED, entry.refund_id, _ORIGIN
        )


def _is_due(payment: Payment, surplus: SurplusPayment) -> bool:
    """Return whether an entry is due for another attempt."""
    if surplus.status not in (RefundState.REQUESTED, RefundState.PENDING):
        return False
    # Versions that did not exclude it left such rows.
    is_sold = is_counted(payment, surplus.payment_id)
    # What the customer's bank takes back must not be returned a second time.
    is_held = sum_held(payment, surplus.payment_id) > sum_lost(payment, surplus.payment_id)
    return not (is_sold or is_held)


def _judge_news(surplus: SurplusPayment, refund: GatewayRefund) -> RefundState | None:
    """Return the state of a surplus payment after news of a refund, None if they do not change it."""
    has_failed = refund.status == RefundState.FAILED
    if surplus.status is RefundState.FAILED:
        # Given up. If a person has made another refund, the worker looks after that.
        return None if has_failed else RefundState.REQUESTED
    if has_failed:
        return RefundState.REQUESTED
    if refund.status == RefundState.PROCESSED and surplus.status is not RefundState.PROCESSED:
        # Older news of a refund may come after that of its failure.
        may_have_failed = surplus.status is RefundState.REQUESTED and surplus.refund_id is not None
        if surplus.refund_id not in (None, refund.id) or may_have_failed:
            return None  # the worker asks the gateway
        if refund.amount >= surplus.amount:
            return RefundState.PROCESSED
    return surplus.status


def _name(payment: Payment, surplus: SurplusPayment) -> dict[str, str]:
    return {"reference": payment.reference_id, "razorpay_payment": surplus.payment_id}
