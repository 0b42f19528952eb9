"""The HTTP routes for payments."""

import msgspec
from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from kernapay.core.errors import NotFound
from kernapay.customers.service import CustomerErased
from kernapay.gateway.base import (
    GATEWAY_ERRORS,
    BalanceTooLow,
    GatewayBusy,
    GatewayDenied,
    GatewayMissing,
    GatewayRejected,
    GatewayUnknown,
)
from kernapay.payments.buyers import TooManyUnpaid
from kernapay.payments.dtos import (
    PaymentCreate,
    PaymentCreated,
    PaymentStatus,
    PaymentSummary,
    PaymentView,
    RefundCreate,
    RefundCreated,
)
from kernapay.payments.ordering import InProgress, SaleEnded
from kernapay.payments.outcomes import (
    EvidenceMismatch,
    NotCapturable,
)
from kernapay.payments.parameters import Count, Cursor, IdempotencyHeader, Payer, Reference, Skip
from kernapay.payments.payees import NotApproved
from kernapay.payments.read_ahead import PAGE_SIZE, page_address
from kernapay.payments.refund_checks import (
    NotRefundable,
    PaymentDisputed,
    RefundInProgress,
    RefundKeyReused,
    RefundRejected,
    TooManyRefunds,
)
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.service import (
    KeyReused,
    NotCancellable,
    PaymentService,
)
from kernapay.security.authentication import READ_AHEAD
from kernapay.security.guards import (
    AnyRole,
    HasRole,
    HasRoleOrShopKey,
    HasScope,
    IsSelfOr,
    IsVerified,
    NotVerified,
    ProofRequired,
)
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import EncodedJSON, Success


class PaymentController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]

    @post(
        "/create",
        guards=[
            HasRole(Role.USER, Role.ADMIN),
            HasScope(Scope.PAYMENTS_WRITE),
            RateLimited("create"),
            IsVerified(),
        ],
        response_description="The payment was created.",
        responses={
            200: ResponseSpec(
                Success[PaymentCreated],
                description="An earlier call with this key created the payment.",
            ),
            **problems(
                NotVerified,
                NotFound,
                CustomerErased,
                TooManyUnpaid,
                KeyReused,
                GatewayRejected,
                GatewayDenied,
                GatewayUnknown,
                GatewayBusy,
                InProgress,
                SaleEnded,
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

        Repeat the call with the same `idempotencyKey` as often as you like: it creates one order, and nothing is
        charged twice. The first call is answered with 201, a repeat with 200 and the same data. The payer chooses
        amount and service type, within SERVICE_TYPES: compare both before you deliver. An API key of a USER account may
        name a customer of its own.
        """
        payment, is_new = await payment_service.create(request.user, data, idempotency_key)
        return Response(Success(payment), status_code=201 if is_new else 200)

    @get(
        "/history/{user_id:str}",
        guards=[HasScope(Scope.PAYMENTS_READ), IsSelfOr(Role.ADMIN)],
        opt={READ_AHEAD: page_address},
    )
    async def history(
        self,
        request: Authenticated,
        user_id: Payer,
        payment_repository: NamedDependency[PaymentRepository],
        count: Count = PAGE_SIZE,
        skip: Skip = 0,
        cursor: Cursor = None,
    ) -> EncodedJSON[list[PaymentSummary]]:
        """List a user's payments, newest first.

        Page with `skip`, or with `cursor`: the `referenceId` of the last payment on the previous page.
        """
        if cursor is not None:
            next_page = await payment_repository.history_after(user_id, cursor, count)
            return EncodedJSON(msgspec.json.encode(next_page))
        page = await payment_repository.history_page(user_id, skip, count, request.auth)
        return EncodedJSON(page)

    @get("/{reference_id:str}", guards=[AnyRole(), HasScope(Scope.PAYMENTS_READ)])
    async def show(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_service: NamedDependency[PaymentService],
    ) -> PaymentView:
        """Return one payment with its history, its refunds and its disputes. Payers do not see the latter.

        Its payer, the provider it was paid to, lab assistants and administrators may read it. Everybody else gets
        a 404.
        """
        return await payment_service.show(request.user, reference_id)

    @post(
        "/{reference_id:str}/refunds",
        guards=[HasRoleOrShopKey(Role.PROVIDER, Role.ADMIN), HasScope(Scope.REFUNDS_WRITE)],
        response_description="The refund was created.",
        responses={
            200: ResponseSpec(
                Success[RefundCreated],
                description="An earlier call with this key created the refund.",
            ),
            **problems(
                NotApproved,
                ProofRequired,
                NotRefundable,
                PaymentDisputed,
                TooManyRefunds,
                RefundKeyReused,
                RefundRejected,
                GatewayMissing,
                GatewayDenied,
                GatewayUnknown,
                GatewayBusy,
                BalanceTooLow,
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
        idempotency_key: IdempotencyHeader = None,
    ) -> Response[Success[RefundCreated]]:
        """Refund a payment, in full or in part.

        Administrators may refund any payment, a provider that an administrator has approved those paid to them, and a
        shop, by a key with scopes, those for its customers.
        When the approval ends, refunds that were accepted before are still finished. Without an `amount`, all that
        remains is refunded. Repeat the call with the same `idempotencyKey` as often as you like: it makes one refund.
        The first call is answered with 201, a repeat with 200 and the present state of the refund. What a dispute
        holds (open, under review or lost, from the chargeback on) is refused with 409 `payment_disputed`. At the
        console, more than `CONSOLE_REFUND_LIMIT` of a payment needs a fresh proof: 403 `proof_required`.
        """
        payment = await refund_service.payment_of(request.user, reference_id)
        refund, is_new = await refund_service.refund(request.user, payment, data, idempotency_key)
        return Response(Success(refund), status_code=201 if is_new else 200)

    @post(
        "/{reference_id:str}/capture",
        guards=[HasRole(Role.ADMIN), HasScope(Scope.PAYMENTS_WRITE)],
        status_code=200,
        responses=problems(NotCapturable, EvidenceMismatch, *GATEWAY_ERRORS),
    )
    async def capture(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_service: NamedDependency[PaymentService],
    ) -> Success[PaymentStatus]:
        """Capture an authorised payment. Payments are captured automatically; use this when that failed."""
        return Success(await payment_service.capture(request.user, reference_id))

    @post(
        "/{reference_id:str}/cancel",
        guards=[HasRole(Role.USER, Role.PROVIDER, Role.ADMIN), HasScope(Scope.PAYMENTS_WRITE)],
        status_code=200,
        responses=problems(
            NotCancellable, EvidenceMismatch, GatewayRejected, GatewayUnknown, GatewayBusy
        ),
    )
    async def cancel(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_service: NamedDependency[PaymentService],
    ) -> Success[PaymentStatus]:
        """Cancel an unpaid payment: its sale ends at once, and money that still comes goes back.

        Its payer, the provider it would be paid to, and administrators may do so. An order at the gateway cannot be
        closed, so somebody may still pay it. Repeating the call is harmless.
        """
        return Success(await payment_service.cancel(request.user, reference_id))
