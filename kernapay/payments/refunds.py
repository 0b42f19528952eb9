"""Giving money back: reserve, ask the gateway, record. The reservation makes over-refunding impossible."""

from datetime import timedelta
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, NotFound, RetryLater
from kernapay.gateway.base import (
    GatewayError,
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    GatewayUnknown,
    PaymentGateway,
)
from kernapay.payments.dtos import RefundCreate, RefundCreated
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.idempotency import fingerprint, one_key
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment, Refund
from kernapay.payments.references import new_refund_receipt
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import RefundState, Source, Status
from kernapay.security.principal import Principal

_log = structlog.get_logger("kernapay.refunds")


class NotRefundable(Conflict):
    """The payment has no money of the payer to give back, or less than was asked for."""

    code = "not_refundable"


class RefundKeyReused(Conflict):
    """The key was used for a refund with other content."""

    code = "idempotency_key_reused"


class RefundRejected(Conflict):
    """The gateway refused the refund for good; another try needs another key."""

    code = "refund_rejected"


class RefundInProgress(RetryLater):
    """Another request with this key is at work right now."""

    code = "in_progress"
    title = "Still in progress"


class RefundService:
    def __init__(
        self,
        payments: PaymentRepository,
        ledger: PaymentLedger,
        settlement: Settlement,
        gateway: PaymentGateway,
        gateway_timeout: timedelta,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._ledger = ledger
        self._settlement = settlement
        self._gateway = gateway
        self.lease: Final = gateway_timeout * 3
        self._clock = clock
        self.open = ledger.open_refunds

    async def payment_of(self, principal: Principal, reference_id: str) -> Payment:
        """Return the payment whose money the caller may refund. Raises NotFound to all others."""
        mine = {} if principal.is_admin else {"provider_id": principal.id}
        payment = await self._payments.get_one_or_none(reference_id=reference_id, **mine)
        if payment is None:
            raise NotFound("There is no such payment of yours.")
        return payment

    async def refund(
        self, principal: Principal, payment: Payment, data: RefundCreate, header_key: str | None
    ) -> tuple[RefundCreated, bool]:
        """Refund a part or, without an amount, all that remains; return the refund, and whether it is new.

        Raises InvalidInput, NotRefundable, RefundKeyReused, RefundRejected, RefundInProgress,
        GatewayUnknown (the reservation stands and the same key resumes it), Unavailable.
        """
        key = one_key(data.idempotency_key, header_key)
        known = _by_key(payment, key)
        if known is None:
            payment, known, new = await self._reserve(principal, payment, data, key)
        else:
            new = False
        if known.fingerprint != fingerprint(data):
            raise RefundKeyReused(
                "This key was used for a refund with other content.", field="idempotencyKey"
            )
        payment = await self._finish(payment, known, ask_first=not new)
        done = _by_key(payment, key) or known
        if done.status == RefundState.FAILED and done.refund_id is None:
            raise RefundRejected(f"The refund was refused: {done.failure or 'no reason given'}.")
        return _answer(payment, done), new

    async def resume(self, payment: Payment) -> Payment:
        """Finish the refunds that an earlier attempt left without an answer, as the worker does."""
        for refund in payment.refunds:
            if refund.refund_id is None and refund.status == RefundState.REQUESTED:
                payment = await self._finish(payment, refund, ask_first=True)
        return payment

    async def return_surplus(self, facts: GatewayPayment) -> None:
        """Refund what is left of a gateway payment that belongs to no sale: a second one, or one of a surplus order.

        Repeating it returns the money once. Raises GatewayError.
        """
        # Derived from the payment, so that a repeat has the same key.
        key = f"surplus_{facts.id}"
        await self._gateway.refund(
            facts.id,
            amount=facts.amount - (facts.amount_refunded or 0),
            key=key,
            receipt=key,
            speed="normal",
        )

    async def _reserve(
        self, principal: Principal, payment: Payment, data: RefundCreate, key: str
    ) -> tuple[Payment, Refund, bool]:
        amount = data.amount if data.amount is not None else _remaining(payment)
        at = self._clock()
        refund = Refund(
            receipt=new_refund_receipt(),
            key=key,
            fingerprint=fingerprint(data),
            amount=amount,
            status=RefundState.REQUESTED,
            source=Source.ADMIN if principal.is_admin else Source.API,
            actor=principal.id,
            reason=data.reason,
            lease_until=at + self.lease,
            created_at=at,
            updated_at=at,
        )
        if amount < 1 or payment.status is not Status.SUCCESS:
            raise _refusal(payment)
        reserved = await self._ledger.reserve_refund(payment, refund)
        crash_point("refund.reserved")
        if reserved is not None:
            return reserved, refund, True
        current = await self._ledger.get(id=payment.pk)
        known = _by_key(current, key)
        if known is None:
            raise _refusal(current)
        return current, known, False

    async def _finish(self, payment: Payment, refund: Refund, *, ask_first: bool) -> Payment:
        if refund.refund_id is not None or refund.status == RefundState.FAILED:
            return payment
        if ask_first and not await self._ledger.take_refund_lease(payment, refund, self.lease):
            raise RefundInProgress("This refund is being made right now.", retry_after=1)
        payment_id = str(payment.razorpay_payment_id)
        try:
            made = await self._find(payment_id, refund) if ask_first else None
            if made is None:
                try:
                    made = await self._make(payment_id, refund)
                except GatewayRejected as error:
                    return await self._refuse(payment, refund, error)
            if (made.amount, made.payment_id) != (refund.amount, payment_id):
                raise GatewayUnknown("The payment gateway's answer does not fit the refund.")
            crash_point("refund.made")
            facts = await self._gateway.fetch_payment(payment_id)
        except GatewayError:
            # Only a refusal of the refund itself would say that nothing was done.
            await self._ledger.release_refund_lease(payment, refund)
            raise
        settled = await self._settlement.settle(
            None, Evidence(Origin(refund.source, "refund", actor=refund.actor), facts, made)
        )
        crash_point("refund.recorded")
        return settled.payment

    async def _make(self, payment_id: str, refund: Refund) -> GatewayRefund:
        return await self._gateway.refund(
            payment_id,
            amount=refund.amount,
            # The same in every attempt: the gateway returns the same refund for the same key.
            key=str(refund.receipt),
            receipt=str(refund.receipt),
            speed="normal",
        )

    async def _refuse(self, payment: Payment, refund: Refund, error: GatewayRejected) -> Payment:
        _log.warning("refund_rejected", payment=str(payment.pk), reason=error.reason)
        crash_point("refund.rejected")
        origin = Origin(refund.source, "refund.refused", actor=refund.actor)
        return await self._ledger.refuse_refund(payment, refund, error.detail, origin)

    async def _find(self, payment_id: str, refund: Refund) -> GatewayRefund | None:
        """Look for the refund that an earlier attempt may have made without our hearing of it."""
        for made in await self._gateway.refunds_of(payment_id):
            if made.receipt == refund.receipt:
                return made
        return None


def _by_key(payment: Payment, key: str) -> Refund | None:
    return next((refund for refund in payment.refunds if refund.key == key), None)


def _remaining(payment: Payment) -> int:
    taken = sum(r.amount for r in payment.refunds if r.status != RefundState.FAILED)
    return payment.amount - taken


def _refusal(payment: Payment) -> NotRefundable:
    if not payment.status.is_paid:
        return NotRefundable(f"A {payment.status.value} payment cannot be refunded.")
    return NotRefundable(
        f"Only {_remaining(payment)} of {payment.amount} can still be refunded.", field="amount"
    )


def _answer(payment: Payment, refund: Refund) -> RefundCreated:
    return RefundCreated(
        reference_id=payment.reference_id,
        refund_id=refund.refund_id,
        amount=refund.amount,
        currency=payment.currency,
        status=refund.status,
        refund_status=payment.refund_status,
        amount_refunded=payment.amount_refunded,
        amount_refundable=_remaining(payment),
    )
