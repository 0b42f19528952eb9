"""The queries on customers. With a `shop_id`, only those of that account: others are as if they were not there."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from kernapay.customers.dtos import CustomerView, Prefill
from kernapay.customers.models import Customer
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.repository import Repository, Row, Rows

_NEWEST = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))


class CustomerRepository(Repository[Customer]):
    model = Customer

    async def by_reference(self, shop_id: str, reference: str) -> Customer | None:
        """Return the customer to whom a shop has given a reference."""
        found = await self.list(LimitOffset(1), shop_id=shop_id, reference=reference)
        return found[0] if found else None

    async def find(self, customer_id: str, shop_id: str | None) -> Customer | None:
        """Return a customer. Raises Unavailable if it is not known whether there is one."""
        customer = await self.get_one_or_none(id=customer_id)
        if customer is None:
            await self.confirm_absence(id=customer_id)
        return customer if _is_of(shop_id, customer and customer.shop_id) else None

    async def view(self, customer_id: str, shop_id: str | None) -> CustomerView | None:
        """Return what is shown of a customer. Raises Unavailable as `find`."""
        view = await self.select_one(CustomerView, id=customer_id)
        if view is None:
            await self.confirm_absence(id=customer_id)
        return view if _is_of(shop_id, view and view.shop_id) else None

    async def prefill(self, customer_id: str) -> Prefill | None:
        """Return what Checkout need not ask the customer for. Raises Unavailable."""
        return await self.select_one(Prefill, id=customer_id)

    async def name_of(self, customer_id: str) -> str | None:
        view = await self.select_one(CustomerView, id=customer_id)
        return None if view is None else view.name

    async def page(
        self, shop_id: str | None, after: CustomerView | None, count: int
    ) -> Rows[CustomerView]:
        """Return customers, newest first. With `after`, start after that one."""
        where: Row = {} if shop_id is None else {"shopId": ObjectId(shop_id)}
        if after is not None:
            where["createdAt"] = {"$lte": after.created_at}
            where["$or"] = [
                {"createdAt": {"$ne": after.created_at}},
                {"_id": {"$lt": ObjectId(after.id)}},
            ]
        return await self.select(CustomerView, *_NEWEST, LimitOffset(count), __raw__=where)

    async def change(self, customer: Customer, fields: Mapping[str, Any]) -> bool:
        """Set fields, and remove those that are None. Return False if the customer has changed since it was read."""
        where = {"id": customer.pk, "updated_at": customer.updated_at, "erased_at": None}
        return await self.update_where(where, **_changes(fields)) is not None

    async def erase(self, customer_id: str, fields: Mapping[str, None]) -> bool:
        """Remove fields for good. Return False if that was done before, or there is no such customer."""
        where = {"id": customer_id, "erased_at": None}
        change = {**_changes(fields), "set__erased_at": self.clock()}
        return await self.update_where(where, **change) is not None


def _is_of(shop_id: str | None, owner: object) -> bool:
    """Return whether a customer of this owner may be seen by the shop; None stands for everybody's."""
    return owner is not None and shop_id in (None, str(owner))


def _changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    # A field without a value is not there: the index of references has no row without one.
    return {
        f"unset__{name}" if value is None else f"set__{name}": True if value is None else value
        for name, value in fields.items()
    }
