"""HTTP for finding payments."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from kernapay.administration.payments.dtos import PaymentsFound
from kernapay.administration.payments.service import PaymentSearch
from kernapay.core.patterns import PRINTABLE
from kernapay.security.guards import HasRole
from kernapay.security.principal import Role


class PaymentSearchController(Controller):
    path = "/v1/api/admin/payments"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN)]

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
                pattern=PRINTABLE,
                description=(
                    "A reference (PAY_…), an id of the gateway (order_…, pay_…, rfnd_…, disp_…, setl_…), a receipt, "
                    "the _id of a payment, an e-mail address, or the UTR of a bank transfer."
                ),
            ),
        ],
    ) -> PaymentsFound:
        """Find payments, with all that is stored of their money: fee, tax, mismatches, surplus orders, refunds.

        A surplus order and a second payment lead to the payment that they belong to.
        """
        return PaymentsFound(await payment_search.find(text))
