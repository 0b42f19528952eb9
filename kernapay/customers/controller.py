"""HTTP for the customers of shops."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.customers.dtos import CustomerChange, CustomerPage, CustomerView
from kernapay.customers.service import (
    CustomerChanged,
    CustomerErased,
    CustomerService,
    ReferenceTaken,
)
from kernapay.security.guards import HasFreshProof, HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import delete, get, patch
from kernapay.web.openapi.responses import problems

CustomerId = Annotated[
    str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The customer's `_id`.")
]


class CustomerController(Controller):
    """For shops, which see their own customers only, and for administrators, who see all."""

    path = "/v1/api/customers"
    tags = ["Customers"]
    guards = [HasRole(Role.USER, Role.ADMIN)]

    @get(guards=[HasScope(Scope.CUSTOMERS_READ)], responses=problems(NotFound))
    async def list_customers(
        self,
        request: Authenticated,
        customer_service: NamedDependency[CustomerService],
        count: Annotated[
            int,
            QueryParameter(ge=1, le=100, description="The largest number of customers to return."),
        ] = 20,
        cursor: Annotated[
            str | None,
            QueryParameter(
                pattern=OBJECT_ID_PATTERN, description="The `nextCursor` of the previous page."
            ),
        ] = None,
    ) -> CustomerPage:
        """List the shop's customers, newest first. New customers do not shift the pages."""
        return await customer_service.page(request.user, count, cursor)

    @get("/{customer_id:str}", guards=[HasScope(Scope.CUSTOMERS_READ)])
    async def show_customer(
        self,
        request: Authenticated,
        customer_id: CustomerId,
        customer_service: NamedDependency[CustomerService],
    ) -> CustomerView:
        """Return one customer. Those of other shops are answered with 404."""
        return await customer_service.view(request.user, customer_id)

    @patch(
        "/{customer_id:str}",
        guards=[HasScope(Scope.CUSTOMERS_WRITE)],
        responses=problems(CustomerErased, ReferenceTaken, CustomerChanged),
    )
    async def change_customer(
        self,
        request: Authenticated,
        customer_id: CustomerId,
        data: JSONBody[CustomerChange],
        customer_service: NamedDependency[CustomerService],
    ) -> CustomerView:
        """Change a customer. What was paid before stays as it was."""
        return await customer_service.change(request.user, customer_id, data)

    @delete(
        "/{customer_id:str}",
        guards=[HasScope(Scope.CUSTOMERS_WRITE), HasFreshProof()],
        status_code=200,
    )
    async def erase_customer(
        self,
        request: Authenticated,
        customer_id: CustomerId,
        customer_service: NamedDependency[CustomerService],
    ) -> CustomerView:
        """Erase a customer: reference, name, addresses and numbers go for good. Return what is left.

        The payments stay, with the `_id`, and can be refunded. There are no further ones.
        """
        return await customer_service.erase(request.user, customer_id)
