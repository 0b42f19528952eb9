"""The HTTP routes by which an account gets the payments that a shop made for it as a customer."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.customers.dtos import CustomerView
from kernapay.payments.claims.dtos import ClaimGrant, ClaimMade, GrantView
from kernapay.payments.claims.service import Claims, NothingClaimed
from kernapay.payments.parameters import Reference
from kernapay.security.guards import AnyRole, HasRole, HasScope, IsPerson
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import delete, get, post
from kernapay.web.openapi.responses import problems

CustomerId = Annotated[
    str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The customer's `_id`.")
]


class ClaimController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [AnyRole(), IsPerson()]

    @post(
        "/{reference_id:str}/claim",
        guards=[RateLimited("status")],
        status_code=202,
        responses=problems(NotFound),
    )
    async def claim_payment(
        self,
        request: Authenticated,
        reference_id: Reference,
        claim_service: NamedDependency[Claims],
    ) -> ClaimMade:
        """Ask for the payments that a shop made for you as its customer, by the reference of one of them.

        The shop must have the e-mail address that you have verified here. It decides, or an administrator: until then,
        you see nothing. A repeat says whether they have granted it.
        """
        return await claim_service.claim(request.user, reference_id)

    @get("/granted")
    async def list_grants(
        self,
        request: Authenticated,
        claim_service: NamedDependency[Claims],
        count: Annotated[
            int, QueryParameter(ge=1, le=100, description="The largest number to return.")
        ] = 20,
        skip: Annotated[
            int, QueryParameter(ge=0, le=10_000, description="How many of the newest to skip.")
        ] = 0,
    ) -> list[GrantView]:
        """List the customers of shops whose payments you were given, the newest first.

        `GET /customers/{id}/payments` lists these.
        """
        return await claim_service.granted_to(request.user, count, skip)


class GrantController(Controller):
    path = "/v1/api/customers"
    tags = ["Customers"]
    guards = [HasRole(Role.USER, Role.ADMIN), HasScope(Scope.CUSTOMERS_WRITE)]

    @post(
        "/{customer_id:str}/grant",
        status_code=200,
        responses=problems(NotFound, NothingClaimed),
    )
    async def grant_payments(
        self,
        request: Authenticated,
        customer_id: CustomerId,
        data: JSONBody[ClaimGrant],
        claim_service: NamedDependency[Claims],
    ) -> CustomerView:
        """Let the account that has asked see the payments for this customer, also later ones, and their receipts.

        It must still have the customer's e-mail address, verified. It can look, and neither refund nor cancel; `notes`,
        `metadata` and disputes stay with the shop. Find out first that it is the same person.
        """
        return await claim_service.grant(request.user, customer_id, data.account_id)

    @delete("/{customer_id:str}/grant", status_code=200, responses=problems(NotFound))
    async def revoke_grant(
        self,
        request: Authenticated,
        customer_id: CustomerId,
        claim_service: NamedDependency[Claims],
    ) -> CustomerView:
        """Take the payments for this customer back from the account that was given them, or refuse its claim."""
        return await claim_service.revoke(request.user, customer_id)
