"""The HTTP routes for lists of payments and their totals."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import PathParameter

from kernapay.core.errors import TooManyRequests
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.customers.service import CustomerService
from kernapay.payments.listing.dtos import PaymentList, PaymentTotals
from kernapay.payments.listing.parameters import DOCUMENTED, CustomerFilter, read_filters
from kernapay.payments.listing.service import Filters, PaymentLists
from kernapay.payments.parameters import Count, Cursor
from kernapay.security.guards import AnyRole, HasScope
from kernapay.security.principal import Authenticated, Scope
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import problems


class PaymentListController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [AnyRole(), HasScope(Scope.PAYMENTS_READ)]
    dependencies = {"filters": Provide(read_filters)}
    opt = DOCUMENTED

    @get()
    async def list_payments(
        self,
        request: Authenticated,
        payment_lists: NamedDependency[PaymentLists],
        filters: NamedDependency[Filters],
        customer_service: NamedDependency[CustomerService],
        customer: CustomerFilter = None,
        count: Count = 20,
        cursor: Cursor = None,
    ) -> PaymentList:
        """List payments, newest first: the caller's own, and for administrators everybody's.

        Filters add up. Page with `cursor`: the `nextCursor` of the previous page. New payments do not shift the pages.
        """
        if customer is not None:
            customer = await customer_service.kept_id(request.user, customer)
        filters = filters._replace(customer_id=customer)
        return await payment_lists.page(request.user, filters, count, cursor)

    @get("/totals", responses=problems(TooManyRequests))
    async def totals(
        self,
        request: Authenticated,
        payment_lists: NamedDependency[PaymentLists],
        filters: NamedDependency[Filters],
        customer_service: NamedDependency[CustomerService],
        customer: CustomerFilter = None,
    ) -> PaymentTotals:
        """Add up the payments of a list, by currency and status: the caller's own, and for administrators everybody's.

        The filters are those of the list. `from` and `to` are required, at most 31 days apart. A 400 that names `from`
        also answers when these payments are too many to be added up in time: choose a shorter period.
        """
        if customer is not None:
            customer = await customer_service.kept_id(request.user, customer)
        filters = filters._replace(customer_id=customer)
        return await payment_lists.totals(request.user, filters)


class CustomerPaymentsController(Controller):
    path = "/v1/api/customers"
    tags = ["Customers"]
    dependencies = {"filters": Provide(read_filters)}
    opt = DOCUMENTED

    @get(
        "/{customer_id:str}/payments",
        guards=[AnyRole(), HasScope(Scope.PAYMENTS_READ)],
    )
    async def list_payments_of_customer(
        self,
        request: Authenticated,
        customer_id: Annotated[
            str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The customer's `_id`.")
        ],
        customer_service: NamedDependency[CustomerService],
        payment_lists: NamedDependency[PaymentLists],
        filters: NamedDependency[Filters],
        count: Count = 20,
        cursor: Cursor = None,
    ) -> PaymentList:
        """List the payments for a customer, newest first, with the filters and pages of the list of payments.

        Those for a merged customer are with the one that stays, and have its `_id`.
        Whoever was given these payments by a grant may list them too, but not by `late`, `disputed` or `metadata`:
        these are the shop's matter. Those of an erased customer stay. Customers of other shops are answered with 404.
        """
        customer = await customer_service.list_for(request.user, customer_id)
        filters = filters._replace(customer_id=customer.merged_into or customer.id)
        return await payment_lists.page(
            request.user, filters, count, cursor, given_by=customer.shop_id
        )
