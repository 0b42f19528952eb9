"""Queries on claims and grants: which account asks for, or sees, the payments for a shop's customer."""

from typing import Any, Final

from kernapay.customers.models import Claim, Customer
from kernapay.payments.claims.dtos import GrantView
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.repository import Repository
from kernapay.storage.updates import Changed

_STANDING: Final = {"erased_at": None, "merged_into": None}


class ClaimRepository(Repository[Customer]):
    model = Customer

    async def claim(self, customer: Customer, account_id: str) -> bool:
        """Record that an account asks for a customer's payments. Return False if the customer has changed."""
        claimed = await self.update_if(
            _key_of(customer),
            {"email": customer.email, "account_id": None, **_STANDING},
            set__claim=Claim(account_id=account_id, at=self.clock()),
        )
        return isinstance(claimed, Changed)

    async def grant(self, customer: Customer, account_id: str) -> bool:
        """Grant an account's claim. Return False if the customer or the claim has changed."""
        granted = await self.update_if(
            _key_of(customer),
            {
                "email": customer.email,
                "account_id": None,
                "claim__account_id": account_id,
                **_STANDING,
            },
            set__account_id=account_id,
            set__granted_at=self.clock(),
            unset__claim=True,
        )
        return isinstance(granted, Changed)

    async def end(self, customer: Customer) -> bool:
        """End a claim and a grant. Return False if there was neither."""
        where: dict[str, Any] = {
            "__raw__": {"$or": [{"accountId": {"$ne": None}}, {"claim": {"$ne": None}}]}
        }
        ended = await self.update_if(
            _key_of(customer),
            where,
            unset__account_id=True,
            unset__granted_at=True,
            unset__claim=True,
        )
        return isinstance(ended, Changed)

    async def grants_of(self, account_id: str, count: int, skip: int) -> list[GrantView]:
        """Return a page of the customers whose payments an account may see, the newest grant first."""
        newest = (OrderBy("granted_at", descending=True), OrderBy("id", descending=True))
        rows = await self.list(*newest, LimitOffset(count, skip), account_id=account_id)
        return [GrantView(str(row.pk), str(row.shop_id), row.granted_at) for row in rows]

    async def forget(self, account_id: str) -> None:
        """End every grant and claim of an account."""
        for field in ("account_id", "claim__account_id"):
            for customer in await self.list(**{field: account_id}):
                await self.end(customer)


def _key_of(customer: Customer) -> dict[str, Any]:
    return {"id": customer.pk, "shop_id": customer.shop_id}
