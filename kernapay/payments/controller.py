"""HTTP for payments."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, JSONBody, PathParameter

from kernapay.audit.repository import AuditLog
from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.gateway.base import GatewayBusy, GatewayRejected, GatewayUnknown
from kernapay.payments.dtos import (
    KEY_PATTERN,
    PaymentCreate,
    PaymentCreated,
    PaymentStatus,
    PaymentSummary,
    PaymentVerified,
    PaymentVerify,
    PaymentView,
    RefundCreate,
    RefundCreated,
)
from kernapay.payments.ordering import InProgress
from kernapay.payments.parameters import Count, Cursor, Reference, Skip
from kernapay.payments.refunds import (
    NotRefundable,
    RefundInProgress,
    RefundKeyReused,
    RefundRejected,
    RefundService,
)
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.service import InvalidSignature, KeyReused, PaymentService
from kernapay.payments.settlement import (
    EvidenceMismatch,
    NotCapturable,
    NotCapturedYet,
    NotPaid,
)
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import HasRole, IsSelfOr, IsVerified, NotVerified, SignedIn
from kernapay.security.principal import Authenticated, Role
from kernapay.security.rate_limits import RateLimited
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import StoredJSON, Success

IdempotencyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=KEY_PATTERN,
        min_length=1,
        max_length=128,
        description="The `idempotencyKey`, if it is not in the body; both must be equal.",
    ),
]


class PaymentController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]

    @post(
        "/create",
        guards=[HasRole(Role.USER, Role.ADMIN), RateLimited("create"), IsVerified()],
        response_description="The payment is new.",
        responses={
            200: ResponseSpec(
                Success[PaymentCreated], description="The payment that this key has made before."
            ),
            **problems(
                NotVerified, KeyReused, GatewayRejected, GatewayUnknown, GatewayBusy, InProgress
            ),
        },
    )
    async def create(
        self,
        request: Authenticated,
        data: JSONBody[PaymentCreate],
        payment_service: NamedDependency[PaymentService],
        idempotency_key: IdempotencyHeader = None,
    ) -> Response[Success[PaymentCreated]]:
        """Create a payment and its order at the gateway.

        Repeat the call with the same `idempotencyKey` as often as you like: there is one order, and nothing is
        charged twice. The first answer is a 201, a repeat a 200 with the same data.
        """
        created, new = await payment_service.create(request.user, data, idempotency_key)
        return Response(Success(created), status_code=201 if new else 200)

    @get("/history/{user_id:str}", guards=[IsSelfOr(Role.ADMIN)])
    async def history(
        self,
        user_id: Annotated[
            str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The payer's `_id`.")
        ],
        payment_repository: NamedDependency[PaymentRepository],
        count: Count = 10,
        skip: Skip = 0,
        cursor: Cursor = None,
    ) -> StoredJSON[list[PaymentSummary]]:
        """List a user's payments, newest first.

        Page with `skip`, or with `cursor`: the `referenceId` of the last payment you have.
        """
        if cursor is not None:
            after = await payment_repository.history_after(user_id, cursor, count)
            return StoredJSON(msgspec.json.encode(after))
        page = await payment_repository.history.encoded(user_id=user_id, skip=skip, count=count)
        return StoredJSON(page or b"[]")

    @get("/{reference_id:str}", guards=[SignedIn()])
    async def show(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_service: NamedDependency[PaymentService],
    ) -> PaymentView:
        """Give everything about one payment to its payer, its provider, a lab assistant or an administrator."""
        return await payment_service.show(request.user, reference_id)

    @post(
        "/{reference_id:str}/refunds",
        guards=[HasRole(Role.PROVIDER, Role.ADMIN)],
        response_description="The refund is new.",
        responses={
            200: ResponseSpec(
                Success[RefundCreated], description="The refund that this key has made before."
            ),
            **problems(
                NotRefundable,
                RefundKeyReused,
                RefundRejected,
                GatewayRejected,
                GatewayUnknown,
                GatewayBusy,
                RefundInProgress,
            ),
        },
    )
    async def refund(
        self,
        request: Authenticated,
        reference_id: Reference,
        data: JSONBody[RefundCreate],
        refund_service: NamedDependency[RefundService],
        audit_log: NamedDependency[AuditLog],
        idempotency_key: IdempotencyHeader = None,
    ) -> Response[Success[RefundCreated]]:
        """Give money back, all that remains or a part, for an administrator or the provider who was paid.

        Repeat the call with the same `idempotencyKey` as often as you like: there is one refund. The first answer is a
        201, a repeat a 200 with the refund as it stands then.
        """
        # Found first: the log keeps its entries for good, so an invented reference leaves none.
        payment = await refund_service.payment_of(request.user, reference_id)
        asked = {"amount": data.amount}
        async with audit_log.action(
            request.user, "payment.refund", f"payment:{reference_id}", after=asked
        ):
            made, new = await refund_service.refund(request.user, payment, data, idempotency_key)
        return Response(Success(made), status_code=201 if new else 200)

    @post(
        "/{reference_id:str}/capture",
        guards=[HasRole(Role.ADMIN)],
        status_code=200,
        responses=problems(
            NotCapturable, EvidenceMismatch, GatewayRejected, GatewayUnknown, GatewayBusy
        ),
    )
    async def capture(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_service: NamedDependency[PaymentService],
        audit_log: NamedDependency[AuditLog],
    ) -> Success[PaymentStatus]:
        """Capture what the bank has authorised. Payments capture themselves; this is for one that did not."""
        async with audit_log.action(request.user, "payment.capture", f"payment:{reference_id}"):
            return Success(await payment_service.capture(request.user, reference_id))


class CheckoutController(Controller):
    """Public: a valid signature, or an unguessable reference, is the proof."""

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
            EvidenceMismatch,
            GatewayRejected,
            GatewayUnknown,
            GatewayBusy,
            NotCapturedYet,
        ),
    )
    async def verify(
        self, data: JSONBody[PaymentVerify], payment_service: NamedDependency[PaymentService]
    ) -> PaymentVerified:
        """Confirm a payment with what Checkout gave to your page. Repeating it is harmless."""
        return await payment_service.verify(data)

    @get("/status/{reference_id:str}", guards=[RateLimited("status")])
    async def status(
        self, reference_id: Reference, payment_service: NamedDependency[PaymentService]
    ) -> PaymentStatus:
        """Tell how a payment stands."""
        return await payment_service.status(reference_id)
