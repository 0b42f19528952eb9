"""Keep the texts of businesses out of events about erased buyers."""

from collections.abc import Sequence

from kernapay.customers.repository import CustomerRepository
from kernapay.deliveries.payment_events import PaymentRow, without_texts
from kernapay.deliveries.text_erasure import EventTextErasure
from kernapay.users.repository import UserRepository


class ErasedBuyers:
    def __init__(
        self, customers: CustomerRepository, users: UserRepository, copies: EventTextErasure
    ) -> None:
        self._customers = customers
        self._users = users
        self._copies = copies

    async def clear_rows(self, rows: Sequence[PaymentRow]) -> list[PaymentRow]:
        """Return the payments. Those of erased buyers have no texts. Raises Unavailable."""
        erased = await self._erased_among(rows)
        return [without_texts(row) if row.id in erased else row for row in rows]

    async def clear_events(self, rows: Sequence[PaymentRow]) -> None:
        """Clear the stored events of erased buyers' payments. Raises Unavailable.

        The erasure may have come after the rows were read, and before their events were there for it to find.
        """
        erased = await self._erased_among(rows)
        if erased:
            await self._copies.forget([row.reference_id for row in rows if row.id in erased])

    async def _erased_among(self, rows: Sequence[PaymentRow]) -> set[str]:
        """Return the ids of the payments whose buyer was erased: the shop's customer, or else the account."""
        customers = {row.customer_id for row in rows if row.customer_id is not None}
        accounts = {row.user_id for row in rows if row.customer_id is None}
        erased_customers = await self._customers.erased_among(customers)
        erased_accounts = await self._users.erased_among(accounts)
        return {
            row.id
            for row in rows
            if (
                row.user_id in erased_accounts
                if row.customer_id is None
                else row.customer_id in erased_customers
            )
        }
