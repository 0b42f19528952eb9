"""Create, verify, capture and show payments."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from bson import ObjectId

from kernapay.audit.repository import AuditLog
from kernapay.core import tracing
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.core.fair_share import FairShare
from kernapay.gateway.signatures import checkout_signature_fits
from kernapay.payments.buyers import Buyers
from kernapay.payments.checkout.service import CheckoutService
from kernapay.payments.dtos import (
    PaymentCreate,
    PaymentCreated,
    PaymentStatus,
    PaymentVerified,
    PaymentVerify,
    PaymentView,
)
from kernapay.payments.evidence import Origin
from kernapay.payments.idempotency import resolve_key
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering, part_of
from kernapay.payments.outcomes import NotCapturable
from kernapay.payments.payees import Payees
from kernapay.payments.recent import RecentPayments
from kernapay.payments.references import is_former, make_receipt, new_reference_id
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import is_counted
from kernapay.payments.rules import PaymentRules
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Source
from kernapay.payments.visibility import is_of_dispute, may_see, may_see_disputes
from kernapay.security.principal import Principal, Role

_FORMER_UNKNOWN: Final = (
    "No payment has this reference. One of the earlier service needs a token that may see it."
)
_VERIFIED: Final = "Payment verified successfully"


class KeyReused(Conflict):
    """The idempotency key was used for a payment with other content. Use another key."""

    code = "idempotency_key_reused"


class InvalidSignature(InvalidInput):
    """The signature does not match this payment; nothing was changed."""

    code = "invalid_signature"
    title = "Invalid signature"


class NotCancellable(Conflict):
    """The payment is paid, or has ended already."""

    code = "not_cancellable"


class PaymentService:
    def __init__(
        self,
        payments: PaymentRepository,
        ordering: Ordering,
        settlement: Settlement,
        rules: PaymentRules,
        payees: Payees,
        buyers: Buyers,
        checkout: CheckoutService,
        audit: AuditLog,
        key_secrets: Sequence[bytes],
        share: FairShare,
        clock: Clock = now,
        *,
        live: bool,
    ) -> None:
        """`key_secrets` sign what Checkout returns; `share` bounds the calls to the gateway of one account at once."""
        self._live = live
        self._payments = payments
        self._ordering = ordering
        self._settlement = settlement
        self._rules = rules
        self._payees = payees
        self._buyers = buyers
        self._checkout = checkout
        self._audit = audit
        self._key_secrets = tuple(key_secrets)
        self._share = share
        self._clock = clock
        self._recent = RecentPayments()

    async def create(
        self, principal: Principal, data: PaymentCreate, header_key: str | None
    ) -> tuple[PaymentCreated, bool]:
        """Create a payment and its order at the gateway. Return the payment, and whether it is new.

        Raises Forbidden, InvalidInput naming the field, NotFound, CustomerErased, TooManyUnpaid, KeyReused,
        GatewayError, InProgress, Unavailable.
        """
        key = resolve_key(data.idempotency_key, header_key)
        recent = self._recent.find(principal.id, key)
        known = recent or await self._payments.find_created(principal.id, key)
        content = self._buyers.fingerprint(data, known.fingerprint if known else None)
        # Of an imported payment nobody knows the request. As in its old service, its key answers with it.
        is_repeat = known is not None and (known.fingerprint == content or bool(known.former))
        if known is not None and is_repeat and known.razorpay_order_id is not None:
            if recent is None:
                # The process that created it may have died before its own eviction.
                await self._payments.history.evict(user_id=principal.id)
            return await self._checkout.answer(known), False
        at = self._clock()
        payment_id = ObjectId()
        draft = Payment(
            id=payment_id,
            receipt=make_receipt(payment_id, self._payments.receipt_prefix),
            user_id=principal.id,
            amount=data.amount,
            currency=data.currency,
            reference_id=new_reference_id(principal.id, at),
            service_type=data.service_type,
            description=data.description,
            idempotency_key=key,
            fingerprint=content,
            notes=data.notes,
            metadata=data.metadata,
            checkout=data.checkout or None,
            success_url=data.success_url,
            cancel_url=data.cancel_url,
            livemode=self._live,
            created_at=at,
            traceparent=tracing.current(),
        )
        try:
            self._rules.check(data)
            await self._checkout.check(principal, data)
            draft.payee_id = await self._payees.judge(principal.id, data.provider_id)
        except InvalidInput:
            # Rules and provider may have changed since the first call, but its repeat gets the first answer again.
            if not is_repeat:
                raise
        draft.provider_id = draft.payee_id or data.provider_id
        if known is None:
            draft.customer_id = await self._buyers.find(principal, data, key, content)
        origin = Origin(Source.API, "created", actor=principal.id)
        payment, is_new = await self._ordering.place(draft, origin, is_key_known=known is not None)
        if payment.fingerprint != content:
            raise KeyReused(
                "A payment with other content was created with this key. Use another key.",
                field="idempotencyKey",
            )
        if is_new:
            # What another process created, that one may not have evicted before it died: a repeat does so.
            self._recent.add(payment)
        return await self._checkout.answer(payment), is_new

    async def verify(self, data: PaymentVerify) -> PaymentVerified:
        """Settle a payment after checking Checkout's signature and asking the gateway.

        Raises NotFound, InvalidSignature, TooManyRequests, EvidenceMismatch, NotPaid, PaymentReturned, NotCapturedYet,
        GatewayError, Unavailable.
        """
        reference_id = await self._payments.resolve(data.reference_id)
        payment = await self._payments.by_reference(reference_id)
        if payment is None or payment.razorpay_order_id is None:
            raise NotFound("No payment has this reference.", field="referenceId")
        self._check_signature(payment.razorpay_order_id, data)
        async with self._share.turn(str(payment.user_id), part_of(payment)):
            with tracing.resume("verify", payment.traceparent):
                result = await self._settlement.settle_checkout(
                    payment, data.razorpay_payment_id, data.razorpay_signature
                )
        return PaymentVerified(
            _VERIFIED, result.payment.payment_method, livemode=result.payment.livemode
        )

    async def show(self, principal: Principal, reference_id: str) -> PaymentView:
        """Return a payment in full. Raises NotFound, also when the caller may not see it."""
        view = await self._payments.view(await self._payments.resolve(reference_id))
        if view is None or not await self._may_see(principal, view):
            raise NotFound("No payment that you may see has this reference.")
        if not may_see_disputes(principal, view):
            view = _hide_disputes(view)
        if view.customer_id is not None and not may_see(principal, view):
            # What the shop wrote for itself is not its customer's matter.
            view = msgspec.structs.replace(view, notes={}, metadata={})
        if principal.role is not Role.ADMIN:
            # The business's bank account is not its customers' matter.
            view = msgspec.structs.replace(view, settled_at=None, settlements=[])
        return view

    async def _may_see(self, principal: Principal, view: PaymentView) -> bool:
        """Return whether the caller may see a payment, by themselves or as the shop's customer. Raises Unavailable."""
        if may_see(principal, view):
            return True
        return view.customer_id is not None and await self._buyers.is_given(
            view.customer_id, principal.id
        )

    async def status(
        self, reference_id: str, find_caller: Callable[[], Awaitable[Principal | None]]
    ) -> PaymentStatus:
        """Return the public view of a payment. Raises NotFound.

        The reference of an imported payment at the earlier service can be guessed, so it works only for callers who may
        see the payment.
        """
        status = await self._payments.status(reference_id)
        if status is None and is_former(reference_id):
            current = await self._payments.resolve(reference_id)
            view = await self._payments.view(current)
            caller = await find_caller()
            if view is None or caller is None or not await self._may_see(caller, view):
                raise NotFound(_FORMER_UNKNOWN)
            status = await self._payments.status(current)
        if status is None:
            raise NotFound("No payment has this reference.")
        return status

    async def capture(self, actor: Principal, reference_id: str) -> PaymentStatus:
        """Capture an authorised payment, even if its sale has ended. A repeat gets the same answer.

        Calls that are answered without the gateway leave no audit entry.

        Raises NotFound, TooManyRequests, NotCapturable, EvidenceMismatch, GatewayError, Unavailable.
        """
        payment = await self._payments.by_reference(await self._payments.resolve(reference_id))
        if payment is None:
            raise NotFound("No payment has this reference.", field="referenceId")
        if payment.approved_payment_id and is_counted(payment, payment.approved_payment_id):
            # A repeat, after a call whose answer was lost: the decision was stored, and something else settled it.
            return msgspec.convert(payment, PaymentStatus, from_attributes=True)
        if payment.status.is_paid:
            raise NotCapturable("This payment is captured already.")
        order_id = payment.razorpay_order_id
        if order_id is None:
            raise NotCapturable("This payment has no order yet, so nobody has paid it.")
        async with (
            self._share.turn(actor.id),
            self._audit.action(actor, "payment.capture", f"payment:{reference_id}"),
        ):
            result = await self._settlement.capture_authorized(payment, order_id, actor.id)
        return msgspec.convert(result.payment, PaymentStatus, from_attributes=True)

    async def cancel(self, principal: Principal, reference_id: str) -> PaymentStatus:
        """End the sale of an unpaid payment at once. A repeat changes nothing.

        The gateway is asked first: money that is there already settles the payment, and it cannot be cancelled then.

        Raises NotFound, also when the caller may not cancel it, NotCancellable, GatewayError, Unavailable.
        """
        payment = await self._payments.by_reference(await self._payments.resolve(reference_id))
        if payment is None or not _may_cancel(principal, payment):
            raise NotFound("No payment that you may cancel has this reference.")
        if payment.cancelled_at is None:
            origin = Origin(Source.API, "cancelled", actor=principal.id)
            payment = await self._settlement.cancel(payment, origin)
            if payment.cancelled_at is None:
                raise NotCancellable(
                    "This payment is paid."
                    if payment.status.is_paid
                    else "This payment has ended already."
                )
        return msgspec.convert(payment, PaymentStatus, from_attributes=True)

    def _check_signature(self, order_id: str, data: PaymentVerify) -> None:
        # Use the order id we stored. With the client's, the signature of a cheap payment could settle an expensive one.
        if not checkout_signature_fits(
            self._key_secrets, order_id, data.razorpay_payment_id, data.razorpay_signature
        ):
            raise InvalidSignature(
                "The signature does not match this order and payment. Send it as Checkout returned it.",
                field="razorpaySignature",
            )
        if data.razorpay_order_id != order_id:
            raise InvalidInput(
                "Must be the order of the payment with this referenceId.", field="razorpayOrderId"
            )


def _may_cancel(principal: Principal, payment: Payment) -> bool:
    """Return whether the caller is the payer, the provider who would be paid, or an administrator."""
    return principal.is_admin or principal.id in (str(payment.user_id), str(payment.payee_id))


def _hide_disputes(view: PaymentView) -> PaymentView:
    history = [step for step in view.history if not is_of_dispute(step)]
    return msgspec.structs.replace(view, disputes=[], history=history)
