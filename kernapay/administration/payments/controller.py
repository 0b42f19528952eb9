"""HTTP for finding payments."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from kernapay.administration.payments.dtos import MismatchOfPayment, PaymentsFound
from kernapay.administration.payments.mismatches import Mismatches
from kernapay.administration.payments.service import PaymentSearch
from kernapay.core.patterns import NOT_BLANK
from kernapay.security.guards import HasRole, IsUnscoped
from kernapay.security.principal import Role
from kernapay.web.handlers import get


class PaymentSearchController(Controller):
    path = "/v1/api/admin/payments"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get("/search")
    async def search(
        self,
        payment_search: NamedDependency[PaymentSearch],
        text: Annotated[
            str,
            QueryParameter(
                name="q",
                min_length=1,
                max_length=320,
                pattern=NOT_BLANK,
                description=(
                    "A reference (PAY_…), an id of the gateway (order_…, pay_…, rfnd_…, disp_…, setl_…), a receipt, "
                    "the _id of a payment, an e-mail address, or the UTR of a bank transfer. Else a value of the "
                    "`notes` of payments, such as your order number: the whole value, in the same case."
                ),
            ),
        ],
    ) -> PaymentsFound:
        """Find payments, with all that is stored of their money: fee, tax, mismatches, surplus orders, refunds.

        A surplus order and a second payment lead to the payment that they belong to. Notes are searched last, only if
        the text names no payment in another way.
        """
        return PaymentsFound(await payment_search.find(text))


class MismatchController(Controller):
    path = "/v1/api/admin/mismatches"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get()
    async def list_mismatches(
        self,
        mismatches: NamedDependency[Mismatches],
        only_open: Annotated[
            bool,
            QueryParameter(name="open", description="Only those that still wait for a person."),
        ] = True,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> list[MismatchOfPayment]:
        """List evidence that did not match its payment, newest first, of 10,000 payments at most.

        The runbook `new-mismatch.md` says for each reason what to do.
        """
        return await mismatches.page(count, skip, only_open=only_open)
