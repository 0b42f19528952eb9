"""Decisions about payments: creating, verifying, showing."""

from typing import Final

import msgspec

from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.gateway.signatures import checkout_signature_fits
from kernapay.payments.dtos import (
    PaymentCreate,
    PaymentCreated,
    PaymentStatus,
    PaymentVerified,
    PaymentVerify,
    PaymentView,
)
from kernapay.payments.evidence import Origin
from kernapay.payments.idempotency import fingerprint, one_key
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.references import new_reference_id
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.rules import PaymentRules
from kernapay.payments.settlement import Settlement
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


class PaymentService:
    def __init__(
        self,
        payments: PaymentRepository,
        ordering: Ordering,
        settlement: Settlement,
        rules: PaymentRules,
        key_secret: bytes,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._ordering = ordering
        self._settlement = settlement
        self._rules = rules
        self._key_secret = key_secret
        self._clock = clock

    async def create(
        self, principal: Principal, data: PaymentCreate, header_key: str | None
    ) -> tuple[PaymentCreated, bool]:
        """Create the payment and its one order; return the answer, and whether it is new.

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
            created_at=at,
        )
        payment, is_new = await self._ordering.place(
            draft, Origin(Source.API, "created", actor=principal.id)
        )
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
                # The answer to the creation, repeated; `status` says what became of the payment since.
                status=Status.PENDING,
            ),
            is_new,
        )

    async def verify(self, data: PaymentVerify) -> PaymentVerified:
        """Settle a payment on Checkout's signature and the gateway's own word.

        Raises NotFound, InvalidSignature, EvidenceMismatch, NotPaid, NotCapturedYet, GatewayError, Unavailable.
        """
        payment = await self._payments.by_reference(data.reference_id)
        if payment is None or payment.razorpay_order_id is None:
            raise NotFound("There is no payment with this reference.", field="referenceId")
        self._check_signature(payment.razorpay_order_id, data)
        settled = await self._settlement.settle_checkout(
            payment, data.razorpay_payment_id, data.razorpay_signature
        )
        return PaymentVerified(_VERIFIED, settled.payment.payment_method)

    async def show(self, principal: Principal, reference_id: str) -> PaymentView:
        """Return everything about a payment to those who may see it. Raises NotFound to all others."""
        view = await self._payments.view(reference_id)
        if view is None or not _concerns(view, principal):
            raise NotFound("There is no such payment of yours.")
        return view

    async def status(self, reference_id: str) -> PaymentStatus:
        """Return what anyone who knows the reference may know. Raises NotFound."""
        status = await self._payments.status(reference_id)
        if status is None:
            raise NotFound("There is no payment with this reference.")
        return status

    async def capture(self, principal: Principal, reference_id: str) -> PaymentStatus:
        """Capture the payment's authorised money.

        Raises NotFound, NotCapturable, EvidenceMismatch, GatewayError, Unavailable.
        """
        payment = await self._payments.by_reference(reference_id)
        if payment is None:
            raise NotFound("There is no payment with this reference.", field="referenceId")
        settled = await self._settlement.capture_authorized(payment, principal.id)
        return msgspec.convert(settled.payment, PaymentStatus, from_attributes=True)

    def _check_signature(self, order_id: str, data: PaymentVerify) -> None:
        # Use the order id we stored. With the client's, the signature of a cheap payment could settle an expensive one.
        if not checkout_signature_fits(
            self._key_secret, order_id, data.razorpay_payment_id, data.razorpay_signature
        ):
            raise InvalidSignature(
                "The signature does not fit this payment.", field="razorpaySignature"
            )
        if data.razorpay_order_id != order_id:
            raise InvalidInput("This is not the order of the payment.", field="razorpayOrderId")


def _concerns(payment: PaymentView, principal: Principal) -> bool:
    match principal.role:
        case Role.USER:
            return payment.user_id == principal.id
        case Role.PROVIDER:
            # What they paid themselves is of a time when they were a payer.
            return principal.id in (payment.user_id, payment.provider_id)
        case Role.LAB_ASSISTANT | Role.ADMIN:
            return True
