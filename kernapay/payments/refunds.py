"""Refund a payment: reserve the amount, call the gateway, store its answer.

The reservation checks the total in the database, so refunds can never exceed the payment.
"""

from datetime import timedelta
from typing import Final

import structlog

from kernapay.audit.repository import AuditLog
from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import KernaPayError, NotFound
from kernapay.core.fair_share import FairShare
from kernapay.gateway.base import (
    BalanceTooLow,
    GatewayRefund,
    GatewayRejected,
    GatewayUnknown,
    PaymentGateway,
)
from kernapay.payments.dtos import RefundCreate, RefundCreated
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.idempotency import fingerprint, resolve_key
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment, Refund
from kernapay.payments.outcomes import EvidenceMismatch
from kernapay.payments.payees import Payees
from kernapay.payments.references import make_refund_receipt
from kernapay.payments.refund_answers import build_answer
from kernapay.payments.refund_checks import (
    PaymentDisputed,
    RefundInProgress,
    check_amount,
    check_proof,
    check_same_content,
    explain_refusal,
    too_many,
    warn_of_enquiries,
)
from kernapay.payments.refund_requests import UNFIT, find_refund, request_refund
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import sum_remaining
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import RefundState, Source, Status
from kernapay.security.principal import Principal, Role

_log = structlog.get_logger("kernapay.refunds")


class RefundService:
    def __init__(
        self,
        payments: PaymentRepository,
        ledger: PaymentLedger,
        settlement: Settlement,
        gateway: PaymentGateway,
        payees: Payees,
        audit: AuditLog,
        share: FairShare,
        gateway_timeout: timedelta,
        max_refunds: int,
        proof_limit: int,
        clock: Clock = now,
    ) -> None:
        """`share` bounds how many refunds one account requests at once.

        What people at the console refund of a payment beyond `proof_limit`, in minor units, needs a fresh proof.
        """
        self._share = share
        self._max_refunds = max_refunds
        self._proof_limit = proof_limit
        self._payments = payments
        self._ledger = ledger
        self._settlement = settlement
        self._gateway = gateway
        self._payees = payees
        self._audit = audit
        # As for an order: a look-up and the call, each of which ends within one timeout, and a margin.
        self.lease: Final = gateway_timeout * 3
        self._clock = clock
        self.open = ledger.open_refunds

    async def payment_of(self, principal: Principal, reference_id: str) -> Payment:
        """Return a payment that the caller may refund.

        Raises NotApproved, Unavailable, and NotFound, also for the payments of others.
        """
        if principal.role is Role.PROVIDER:
            await self._payees.require_approved(principal)
        payment = await self._payments.by_reference(await self._payments.resolve(reference_id))
        if payment is None or not _may_refund(principal, payment):
            raise NotFound("No payment that you may refund has this reference.")
        return payment

    async def refund(
        self, actor: Principal, payment: Payment, data: RefundCreate, header_key: str | None
    ) -> tuple[RefundCreated, bool]:
        """Refund a part of a payment or, without an amount, all that remains. Return the refund, and whether it is new.

        Calls that are refused without the gateway, or that repeat a finished refund, leave no audit entry.

        Raises InvalidInput, NotRefundable, PaymentDisputed, TooManyRefunds, TooManyRequests, RefundKeyReused,
        ProofRequired, RefundRejected, RefundInProgress, Unavailable, and GatewayError: an amount that is reserved then
        stays so, and a call with the same key resumes it.
        """
        key = resolve_key(data.idempotency_key, header_key)
        refund = _find_by_key(payment, key)
        if refund is None:
            amount = check_amount(payment, data, self._max_refunds)
            check_proof(actor, payment, amount, self._proof_limit)
        else:
            check_same_content(refund, data)
            if _is_finished(refund):
                return build_answer(payment, refund), False
            self._check_lease(refund)
            amount = refund.amount
        what = f"payment:{payment.reference_id}"
        async with (
            # First, so that a call without a turn has reserved nothing.
            self._share.turn(actor.id),
            self._audit.action(actor, "payment.refund", what, after={"amount": amount}),
        ):
            if refund is None and (lost := await self._adopt(actor, payment, data, key)):
                return build_answer(*lost), False
            is_new = False
            if refund is None:
                payment, refund, is_new = await self._reserve(actor, payment, data, amount, key)
                check_same_content(refund, data)
            payment = await self._finish(payment, refund, look_first=not is_new)
            return build_answer(payment, _find_by_key(payment, key) or refund), is_new

    async def resume(self, payment: Payment) -> Payment:
        """Finish the refunds for which an earlier attempt got no answer from the gateway. The worker calls this."""
        for refund in payment.refunds:
            if refund.refund_id is None and refund.status == RefundState.REQUESTED:
                try:
                    payment = await self._finish(payment, refund, look_first=True)
                except BalanceTooLow as error:
                    # It waits for money. The other refunds of this payment do not wait for it.
                    _log.warning("refund_waits", reference=payment.reference_id, code=error.code)
        return payment

    async def _adopt(
        self, actor: Principal, payment: Payment, data: RefundCreate, key: str
    ) -> tuple[Payment, Refund] | None:
        """Enter the refund that was made for this key and is not stored, as after a restore of an older copy.

        Return None if there is none. Raises RefundKeyReused if it has another amount, and GatewayError.
        """
        receipt = make_refund_receipt(payment.pk, key)
        payment_id = str(payment.razorpay_payment_id)
        gateway_refund = await find_refund(self._gateway, payment_id, receipt)
        if gateway_refund is None:
            return None
        _log.warning("refund_adopted", reference=payment.reference_id)
        payment = await self._enter(
            Origin(_source(actor), "refund", actor=actor.id), gateway_refund
        )
        refund = next(each for each in payment.refunds if each.refund_id == gateway_refund.id)
        check_same_content(refund, data)
        return payment, refund

    async def _enter(self, origin: Origin, gateway_refund: GatewayRefund) -> Payment:
        """Enter a refund that the gateway made. Raises GatewayError, Unavailable."""
        gateway_payment = await self._gateway.fetch_payment(gateway_refund.payment_id)
        evidence = Evidence(origin, gateway_payment, gateway_refund)
        try:
            payment = (await self._settlement.settle(None, evidence)).payment
        except EvidenceMismatch as error:
            # The refund was made. Its key has to stay, or another one would return the money again.
            raise GatewayUnknown(UNFIT) from error
        if all(each.refund_id != gateway_refund.id for each in payment.refunds):
            raise GatewayUnknown(UNFIT)
        return payment

    async def _reserve(
        self, actor: Principal, payment: Payment, data: RefundCreate, amount: int, key: str
    ) -> tuple[Payment, Refund, bool]:
        at = self._clock()
        refund = Refund(
            receipt=make_refund_receipt(payment.pk, key),
            key=key,
            fingerprint=fingerprint(data),
            amount=amount,
            status=RefundState.REQUESTED,
            source=_source(actor),
            actor=actor.id,
            reason=data.reason,
            speed=data.speed,
            lease_until=at + self.lease,
            created_at=at,
            updated_at=at,
        )
        row = await self._ledger.reserve_refund(payment, refund, self._max_refunds)
        crash_point("refund.reserved")
        if row is not None:
            if warning := warn_of_enquiries(row):
                _log.warning("refund_under_enquiry", reference=row.reference_id, warning=warning)
            return row, refund, True
        current = await self._ledger.get(id=payment.pk)
        earlier = _find_by_key(current, key)
        if earlier is None:
            if current.status is Status.SUCCESS and amount <= sum_remaining(current):
                raise too_many(current, self._max_refunds)
            raise explain_refusal(current, amount)
        return current, earlier, False

    async def _finish(self, payment: Payment, refund: Refund, *, look_first: bool) -> Payment:
        if _is_finished(refund):
            return payment
        if look_first:
            leased = await self._ledger.take_refund_lease(payment, refund, self.lease)
            if leased is None:
                raise _in_progress()
            payment = leased
        try:
            try:
                gateway_refund = await request_refund(
                    self._gateway, payment, refund, look_first=look_first
                )
            except GatewayRejected as error:
                return await self._refuse(payment, refund, error.detail, error.reason)
            except PaymentDisputed as error:
                return await self._refuse(payment, refund, error.detail)
            crash_point("refund.made")
            origin = Origin(refund.source, "refund", actor=refund.actor)
            payment = await self._enter(origin, gateway_refund)
        except KernaPayError:
            # Keep the amount reserved: only a refusal of the refund itself proves that none was made.
            await self._ledger.release_refund_lease(payment, refund)
            raise
        crash_point("refund.recorded")
        return payment

    def _check_lease(self, refund: Refund) -> None:
        # Cheaper than to try to take it, which decides.
        if refund.lease_until is not None and refund.lease_until > self._clock():
            raise _in_progress()

    async def _refuse(
        self, payment: Payment, refund: Refund, failure: str, reason: str | None = None
    ) -> Payment:
        _log.warning("refund_rejected", reference=payment.reference_id, reason=reason)
        crash_point("refund.rejected")
        origin = Origin(refund.source, "refund.refused", actor=refund.actor)
        return await self._ledger.refuse_refund(payment, refund, failure, origin)


def _may_refund(principal: Principal, payment: Payment) -> bool:
    match principal.role:
        case Role.ADMIN:
            return True
        case Role.PROVIDER:
            return str(payment.payee_id) == principal.id
        case Role.USER:
            # Without a customer, it is the money of whoever holds the account.
            is_own = str(payment.user_id) == principal.id
            return principal.is_shop and is_own and payment.customer_id is not None
        case Role.LAB_ASSISTANT:
            return False


def _find_by_key(payment: Payment, key: str) -> Refund | None:
    # A refund that a restore lost comes back from the gateway without its key.
    receipt = make_refund_receipt(payment.pk, key)
    return next(
        (each for each in payment.refunds if key == each.key or receipt == each.receipt), None
    )


def _source(actor: Principal) -> Source:
    return Source.ADMIN if actor.is_admin else Source.API


def _is_finished(refund: Refund) -> bool:
    return refund.refund_id is not None or refund.status == RefundState.FAILED


def _in_progress() -> RefundInProgress:
    return RefundInProgress(
        "Another request with this idempotencyKey is still running. Repeat the call.", retry_after=1
    )
