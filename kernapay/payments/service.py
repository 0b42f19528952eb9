"""Decisions about payments: creating, verifying, showing."""

from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.core.crashpoints import crash_point
from kernapay.core.errors import Conflict, InvalidInput, KernaPayError, NotFound
from kernapay.core.ids import new_reference_id
from kernapay.gateway.base import PaymentGateway
from kernapay.gateway.signatures import checkout_signature_fits
from kernapay.payments.dtos import (
    PaymentCreate,
    PaymentCreated,
    PaymentStatus,
    PaymentVerified,
    PaymentVerify,
    PaymentView,
)
from kernapay.payments.idempotency import fingerprint, one_key
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.repository import PaymentRepository, first_step
from kernapay.payments.rules import PaymentRules
from kernapay.payments.settlement import Evidence, Outcome, Settled, Settlement, best_attempt
from kernapay.payments.states import Source, Status
from kernapay.security.principal import Principal, Role

_VERIFIED: Final = "Payment verified successfully"


class KeyReused(Conflict):
    """The key was used for a payment with other content."""

    code = "idempotency_key_reused"


class InvalidSignature(InvalidInput):
    """The signature does not fit this payment; nothing was changed."""

    code = "invalid_signature"
    title = "Invalid signature"


class NotPaid(Conflict):
    """The signature is good, but the gateway has no captured money to show."""

    code = "not_paid"


class NotCapturable(Conflict):
    code = "not_capturable"


class EvidenceMismatch(Conflict):
    """The gateway's payment is not the one that was ordered; nothing was changed."""

    code = "evidence_mismatch"


class NotCapturedYet(KernaPayError):
    """The bank has not confirmed the payment yet: repeat the call later."""

    status = 503
    code = "not_captured_yet"
    title = "Not captured yet"


class PaymentService:
    def __init__(
        self,
        payments: PaymentRepository,
        ordering: Ordering,
        settlement: Settlement,
        gateway: PaymentGateway,
        rules: PaymentRules,
        key_secret: bytes,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._ordering = ordering
        self._settlement = settlement
        self._gateway = gateway
        self._rules = rules
        self._key_secret = key_secret
        self._clock = clock

    async def create(
        self, principal: Principal, data: PaymentCreate, header_key: str | None
    ) -> tuple[PaymentCreated, bool]:
        """Create the payment and its one order: the answer, and whether it is new.

        Raises InvalidInput naming the field, KeyReused, GatewayError, InProgress, Unavailable.
        """
        key = one_key(data.idempotency_key, header_key)
        self._rules.check(data)
        at = self._clock()
        draft = Payment(
            user_id=principal.id,
            provider_id=data.provider_id,
            amount=data.amount,
            currency=data.currency,
            reference_id=new_reference_id(principal.id, at),
            service_type=data.service_type,
            description=data.description,
            idempotency_key=key,
            fingerprint=fingerprint(data),
            notes=data.notes,
            metadata=data.metadata,
            history=[first_step(at, principal.id)],
            created_at=at,
        )
        payment, new = await self._ordering.place(draft)
        if payment.fingerprint != draft.fingerprint:
            raise KeyReused(
                "This key was used for a payment with other content.", field="idempotencyKey"
            )
        return (
            PaymentCreated(
                order_id=str(payment.razorpay_order_id),
                amount=payment.amount,
                currency=payment.currency,
                reference_id=payment.reference_id,
                # The answer to the creation, repeated; what became of it since is said by `status`.
                status=Status.PENDING,
            ),
            new,
        )

    async def verify(self, data: PaymentVerify) -> PaymentVerified:
        """Settle a payment on Checkout's signature and the gateway's own word.

        Raises NotFound, InvalidSignature, EvidenceMismatch, NotPaid, NotCapturedYet, GatewayError, Unavailable.
        """
        payment = await self._payments.get_one_or_none(reference_id=data.reference_id)
        if payment is None or payment.razorpay_order_id is None:
            raise NotFound("There is no payment with this reference.", field="referenceId")
        # The order id of our own record, or a cheap payment's signature would settle a dear order.
        if not checkout_signature_fits(
            self._key_secret,
            payment.razorpay_order_id,
            data.razorpay_payment_id,
            data.razorpay_signature,
        ):
            raise InvalidSignature(
                "The signature does not fit this payment.", field="razorpaySignature"
            )
        if data.razorpay_order_id != payment.razorpay_order_id:
            raise InvalidInput("This is not the order of the payment.", field="razorpayOrderId")
        if payment.status in (Status.SUCCESS, Status.REFUNDED) and (
            payment.razorpay_payment_id == data.razorpay_payment_id
        ):
            # The process that settled it may have died before it dropped the history.
            await self._payments.history.evict(user_id=str(payment.user_id))
            return PaymentVerified(_VERIFIED, payment.payment_method)
        crash_point("verify.signed")
        facts = await self._gateway.fetch_payment(data.razorpay_payment_id)
        crash_point("verify.asked")
        if facts.order_id != payment.razorpay_order_id:
            raise EvidenceMismatch("The gateway's payment belongs to another order.")
        if facts.status == "failed":
            raise NotPaid("The payment was not successful.")
        if facts.status == "created":
            raise NotCapturedYet("The bank has not confirmed this payment yet.", retry_after=5)
        settled = await self._settlement.capture_and_settle(
            Evidence(Source.CHECKOUT, "verify", facts, signature=data.razorpay_signature)
        )
        if settled.outcome is Outcome.MISMATCH:
            raise _mismatch(settled)
        if settled.payment.status not in (Status.SUCCESS, Status.REFUNDED):
            raise NotPaid("The payment was given back without having been captured.")
        return PaymentVerified(_VERIFIED, settled.payment.payment_method)

    async def show(self, principal: Principal, reference_id: str) -> PaymentView:
        """Give everything about a payment to those who may see it. Raises NotFound to all others."""
        view = await self._payments.select_one(PaymentView, reference_id=reference_id)
        if view is None or not _concerns(view, principal):
            raise NotFound("There is no such payment of yours.")
        return view

    async def status(self, reference_id: str) -> PaymentStatus:
        """Give what anyone who knows the reference may know. Raises NotFound."""
        found = await self._payments.select_one(PaymentStatus, reference_id=reference_id)
        if found is None:
            raise NotFound("There is no payment with this reference.")
        return found

    async def capture(self, principal: Principal, reference_id: str) -> PaymentStatus:
        """Capture the payment's authorised money. Raises NotFound, NotCapturable, GatewayError, Unavailable."""
        payment = await self._payments.get_one_or_none(reference_id=reference_id)
        if payment is None:
            raise NotFound("There is no payment with this reference.", field="referenceId")
        if payment.status in (Status.SUCCESS, Status.REFUNDED):
            raise NotCapturable("This payment is captured already.")
        if payment.razorpay_order_id is None:
            raise NotCapturable("Nobody has paid yet.")
        attempts = await self._gateway.payments_of(payment.razorpay_order_id)
        facts = best_attempt(attempts)
        if facts is None or facts.status not in ("authorized", "captured"):
            raise NotCapturable("The bank has authorised nothing that could be captured.")
        settled = await self._settlement.capture_and_settle(
            Evidence(Source.ADMIN, "capture", facts, actor=principal.id)
        )
        if settled.outcome is Outcome.MISMATCH:
            raise _mismatch(settled)
        return await self.status(reference_id)


def _concerns(payment: PaymentView, principal: Principal) -> bool:
    match principal.role:
        case Role.USER:
            return payment.user_id == principal.id
        case Role.PROVIDER:
            # What they paid themselves is of a time when they were a payer.
            return principal.id in (payment.user_id, payment.provider_id)
        case Role.LAB_ASSISTANT | Role.ADMIN:
            return True


def _mismatch(settled: Settled) -> EvidenceMismatch:
    return EvidenceMismatch(
        f"The gateway's payment has another {settled.reason}: nothing was changed."
    )
