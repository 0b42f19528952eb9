"""Find the buyer of a payment: the account that creates it or, if that is a shop, one of its customers."""

import hashlib
from collections.abc import Sequence

from bson import ObjectId

from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, Forbidden, InvalidInput
from kernapay.customers.models import Customer
from kernapay.customers.service import CustomerService
from kernapay.payments.dtos import PaymentCreate
from kernapay.payments.idempotency import fitting_fingerprint
from kernapay.payments.repository import PaymentRepository
from kernapay.security.principal import Principal


class TooManyUnpaid(Conflict):
    """The customer has as many unpaid payments as UNPAID_PER_CUSTOMER allows. Cancel some, or wait for their end."""

    code = "too_many_unpaid"
    title = "Too many unpaid payments"


class Buyers:
    def __init__(
        self,
        customers: CustomerService,
        payments: PaymentRepository,
        personal_keys: Sequence[bytes],
        most_unpaid: int,
    ) -> None:
        """`personal_keys` go into the fingerprints of requests, the newest first.

        `most_unpaid` is how many unpaid payments one customer may have.
        """
        self._customers = customers
        self._payments = payments
        self._personal_keys = tuple(personal_keys)
        self._most_unpaid = most_unpaid

    def fingerprint(self, data: PaymentCreate, known: str | None) -> str:
        """Return the fingerprint of a request: the known one of its idempotency key if it fits."""
        return fitting_fingerprint(data, self._personal_keys, known)

    async def find(
        self, caller: Principal, data: PaymentCreate, key: str, content: str
    ) -> str | None:
        """Return the id of the customer that a payment is for, None if it is for the caller.

        A customer without a reference is entered once for each idempotency key and content.

        Raises Forbidden, InvalidInput naming the field, NotFound, CustomerErased, TooManyUnpaid, Unavailable.
        """
        if data.customer is None and data.customer_id is None:
            return None
        if data.customer is not None and data.customer_id is not None:
            raise InvalidInput("Send either customer or customerId.", field="customerId")
        if not caller.is_shop:
            raise Forbidden(
                "Only a shop creates payments for customers: send the API key of a USER account. "
                "Without customer and customerId, the payment is your own."
            )
        if data.customer_id is not None:
            customer, is_new = await self._customers.find_own(caller.id, data.customer_id), False
        elif data.customer is not None:
            new_id = _make_id(caller.id, key, content)
            customer, is_new = await self._customers.find_or_enter(caller.id, data.customer, new_id)
            crash_point("create.customer")
        if not is_new:
            await self._require_room(customer)
        return str(customer.pk)

    async def is_given(self, customer_id: str, account_id: str) -> bool:
        """Return whether an account was given the payments for a customer. Raises Unavailable."""
        return await self._customers.is_given(customer_id, account_id)

    async def _require_room(self, customer: Customer) -> None:
        most = self._most_unpaid
        customer_ids = [str(customer.pk), *await self._customers.moving_into(customer)]
        if await self._payments.count_open_of(customer_ids, most) >= most:
            raise TooManyUnpaid(
                f"This customer has {most} unpaid payments. Cancel some, or wait until their sales end."
            )


def _make_id(shop_id: str, key: str, content: str) -> ObjectId:
    """Return the id for the new customer of a request. It is the same at each attempt, so only one is entered."""
    return ObjectId(hashlib.sha256(f"{shop_id}\n{key}\n{content}".encode()).digest()[:12])
