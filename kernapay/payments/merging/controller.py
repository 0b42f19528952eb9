"""The HTTP route that merges customers."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.customers.dtos import CustomerMerge, CustomerView
from kernapay.customers.service import CustomerChanged, CustomerErased, CustomerWasMerged
from kernapay.payments.merging.service import CustomerMerging
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import post
from kernapay.web.openapi.responses import problems


class CustomerMergeController(Controller):
    path = "/v1/api/customers"
    tags = ["Customers"]

    @post(
        "/{customer_id:str}/merge",
        guards=[HasRole(Role.USER, Role.ADMIN), HasScope(Scope.CUSTOMERS_WRITE)],
        status_code=200,
        responses=problems(NotFound, CustomerErased, CustomerWasMerged, CustomerChanged),
    )
    async def merge_customer(
        self,
        request: Authenticated,
        customer_id: Annotated[
            str,
            PathParameter(
                pattern=OBJECT_ID_PATTERN, description="The `_id` of the customer that goes."
            ),
        ],
        data: JSONBody[CustomerMerge],
        customer_merging: NamedDependency[CustomerMerging],
    ) -> CustomerView:
        """Merge a customer into another one of the same shop, for good. Return what is left of the merged one.

        Its payments are those of the other one from then on: at once up to 5,000 of them, the rest within seconds. Its
        `reference` and its `_id` still work for new payments, which are for the other one. The rest of it goes: the
        other one stays as it is. A repeat finishes what an earlier call could not.
        """
        return await customer_merging.merge(request.user, customer_id, data.into)
