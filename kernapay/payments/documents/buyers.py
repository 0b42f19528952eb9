"""Find the buyer for a document: the account that paid, or the shop's customer."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bson import ObjectId

from kernapay.customers.repository import CustomerRepository
from kernapay.payments.models import Payment
from kernapay.users.dtos import UserView


class Buyer(NamedTuple):
    """The data of a buyer that documents show. An erased buyer has none."""

    name: str | None = None
    gstin: str | None = None
    state: str | None = None
    # Where papers may be sent: given by the shop, or confirmed by the account's owner.
    email: str | None = None


BuyerOf = Callable[[Payment], Awaitable[Buyer]]
AccountOf = Callable[[str], Awaitable[UserView | None]]


class PaperBuyers:
    def __init__(self, customers: CustomerRepository, account_of: AccountOf) -> None:
        self._customers = customers
        self._account_of = account_of

    async def find(self, payment: Payment) -> Buyer:
        """Return the buyer of a payment. Raises Unavailable."""
        if payment.customer_id is None:
            user_id = str(payment.user_id)
            # Another system may have named the payer otherwise, or not at all.
            account = await self._account_of(user_id) if ObjectId.is_valid(user_id) else None
            if account is None:
                return Buyer()
            return Buyer(account.name, email=account.email if account.is_email_verified else None)
        customer = await self._customers.kept_view(str(payment.customer_id))
        if customer is None:
            return Buyer()
        state = customer.address.state if customer.address else None
        return Buyer(customer.name, customer.gstin, state, customer.email)
