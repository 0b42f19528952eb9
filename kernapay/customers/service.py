"""Find, enter, change and erase the customers of shops."""

from typing import Any, Final

from bson import ObjectId

from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.customers.dtos import CustomerChange, CustomerGiven, CustomerPage, CustomerView
from kernapay.customers.forms import FIELDS, NOTHING, read_fields
from kernapay.customers.models import Customer
from kernapay.customers.repository import CustomerRepository
from kernapay.security.principal import Principal
from kernapay.storage.repository import DuplicateRow

_UNKNOWN: Final = "There is no customer with this id."


class CustomerErased(Conflict):
    """The customer was erased: nothing can be changed, and there are no further payments for them."""

    code = "customer_erased"
    title = "Customer erased"


class ReferenceTaken(Conflict):
    """Another customer of the shop has this reference."""

    code = "reference_taken"
    title = "Reference taken"


class CustomerChanged(Conflict):
    """Another request changed the customer at the same time."""

    code = "customer_changed"
    title = "Changed by another request"


class CustomerService:
    def __init__(self, customers: CustomerRepository, audit: AuditLog, *, production: bool) -> None:
        self._customers = customers
        self._audit = audit
        self._production = production

    async def find_own(self, shop_id: str, customer_id: str) -> Customer:
        """Return a customer of a shop. Raises NotFound, CustomerErased."""
        customer = await self._customers.find(customer_id, shop_id)
        if customer is None:
            raise NotFound("None of your customers has this id.", field="customerId")
        return _standing(customer)

    async def find_or_enter(
        self, shop_id: str, given: CustomerGiven, new_id: ObjectId
    ) -> tuple[Customer, bool]:
        """Return the customer with the given reference or, without one, with `new_id`, and whether they are new.

        Raises InvalidInput, CustomerErased, Unavailable.
        """
        fields = self._read(given, prefix="customer.")
        if given.reference is None:
            row = Customer(id=new_id, shop_id=shop_id, **fields)
            customer, is_new = await self._customers.add_or_get(row, "id")
            return _standing(customer), is_new
        known = await self._customers.by_reference(shop_id, given.reference)
        if known is not None:
            return known, False
        row = Customer(id=ObjectId(), shop_id=shop_id, **fields)
        return await self._customers.add_or_get(row, "shop_id", "reference")

    async def page(self, actor: Principal, count: int, cursor: str | None) -> CustomerPage:
        """Return a page of the customers that the caller may see, newest first. Raises NotFound for the `cursor`."""
        shop_id = _shop_of(actor)
        after = None
        if cursor is not None:
            after = await self._customers.view(cursor, shop_id)
            if after is None:
                raise NotFound(_UNKNOWN, field="cursor")
        # One more than asked for says whether there is another page.
        found = await self._customers.page(shop_id, after, count + 1)
        return CustomerPage(found[:count], found[count - 1].id if len(found) > count else None)

    async def view(self, actor: Principal, customer_id: str) -> CustomerView:
        """Return a customer. Raises NotFound, also for those of other shops."""
        view = await self._customers.view(customer_id, _shop_of(actor))
        if view is None:
            raise NotFound(_UNKNOWN)
        return view

    async def change(
        self, actor: Principal, customer_id: str, data: CustomerChange
    ) -> CustomerView:
        """Change what is given. Raises NotFound, InvalidInput, CustomerErased, ReferenceTaken, CustomerChanged."""
        customer = await self._customers.find(customer_id, _shop_of(actor))
        if customer is None:
            raise NotFound(_UNKNOWN)
        _standing(customer)
        fields = read_fields(data, production=self._production)
        if not fields:
            raise InvalidInput(NOTHING, field="body")
        _require_something({name: getattr(customer, name) for name in FIELDS} | fields, "body")
        if actor.is_admin:
            # Of somebody else's customer. What a shop does with its own is no privilege.
            facts = {"changed": sorted(fields)}
            async with self._audit.action(
                actor, "customer.change", _target(customer_id), after=facts
            ):
                await self._store(customer, fields)
        else:
            await self._store(customer, fields)
        return await self.view(actor, customer_id)

    async def erase(self, actor: Principal, customer_id: str) -> CustomerView:
        """Remove all that is personal for good, and return what is left. A repeat changes nothing. Raises NotFound."""
        view = await self.view(actor, customer_id)
        if view.erased_at is None:
            async with self._audit.action(actor, "customer.erase", _target(customer_id)):
                # If nothing changes, somebody else has erased them meanwhile.
                await self._customers.erase(customer_id, dict.fromkeys(FIELDS))
            view = await self.view(actor, customer_id)
        return view

    async def _store(self, customer: Customer, fields: dict[str, Any]) -> None:
        try:
            if not await self._customers.change(customer, fields):
                raise CustomerChanged(
                    "Another request changed the customer at the same time. Read it and try again."
                )
        except DuplicateRow as error:
            raise ReferenceTaken(
                "Another customer of the shop has this reference.", field="reference"
            ) from error

    def _read(self, given: CustomerGiven, prefix: str) -> dict[str, Any]:
        fields = read_fields(given, production=self._production, prefix=prefix)
        _require_something(fields, "customer")
        return fields


def _require_something(fields: dict[str, Any], field: str) -> None:
    if all(value is None for value in fields.values()):
        raise InvalidInput(NOTHING, field=field)


def _standing(customer: Customer) -> Customer:
    if customer.erased_at is not None:
        raise CustomerErased("This customer was erased. Nothing of them can be changed or paid.")
    return customer


def _target(customer_id: str) -> str:
    return f"customer:{customer_id}"


def _shop_of(actor: Principal) -> str | None:
    """Return the account whose customers the caller may see. Administrators see all: None."""
    return None if actor.is_admin else actor.id
