"""HTTP for finding payments."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from kernapay.administration.payments.dtos import PaymentsFound
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

        A surplus order and a second payment lead to the payment that they belong to. Notes are looked at last: a text
        that names a payment in another way finds only that.
        """
        return PaymentsFound(await payment_search.find(text))
