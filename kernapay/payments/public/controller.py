"""The public routes for payments: a signature or the reference is the proof."""

from functools import partial

from litestar import Controller, Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody

from kernapay.core.errors import NotFound
from kernapay.gateway.base import GATEWAY_ERRORS
from kernapay.payments.dtos import PaymentStatus, PaymentVerified, PaymentVerify
from kernapay.payments.outcomes import EvidenceMismatch, NotCapturedYet, NotPaid
from kernapay.payments.parameters import Reference
from kernapay.payments.returns import PaymentReturned
from kernapay.payments.service import InvalidSignature, PaymentService
from kernapay.security.authentication import PUBLIC, Authenticator, find_caller
from kernapay.security.principal import Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import problems


class CheckoutController(Controller):
    """Public routes. The proof is Checkout's signature, or the reference, which cannot be guessed."""

    path = "/v1/api/payments"
    tags = ["Payments"]
    opt = {PUBLIC: True}
    security = [{}]

    @post(
        "/verify",
        status_code=200,
        guards=[RateLimited("verify")],
        responses=problems(
            InvalidSignature,
            NotFound,
            NotPaid,
            PaymentReturned,
            EvidenceMismatch,
            *GATEWAY_ERRORS,
            NotCapturedYet,
        ),
    )
    async def verify(
        self, data: JSONBody[PaymentVerify], payment_service: NamedDependency[PaymentService]
    ) -> PaymentVerified:
        """Confirm a payment with the three values that Checkout passes to your page. Repeating the call is harmless.

        A payment whose money went back to the customer, or is on its way there, is answered with 409
        `payment_returned`. This call proves that somebody paid, not what they paid for: before you deliver, your
        back end must read the payment and compare `status`, `amount`, `currency` and `serviceType` with what you sell.
        """
        return await payment_service.verify(data)

    @get("/status/{reference_id:str}", guards=[RateLimited("status")])
    async def status(
        self,
        request: Request[None, None, State],
        reference_id: Reference,
        payment_service: NamedDependency[PaymentService],
        authenticator: NamedDependency[Authenticator],
    ) -> PaymentStatus:
        """Return the status of a payment. Anyone who knows the reference may call this.

        A reference of the earlier service ends in three digits, and can be guessed: send the payer's token with it.
        """
        caller = partial(find_caller, request.scope, authenticator, Scope.PAYMENTS_READ)
        return await payment_service.status(reference_id, caller)
