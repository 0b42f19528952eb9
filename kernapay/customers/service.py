"""Find, enter, change and erase the customers of shops."""

from typing import Any, Final

from bson import ObjectId

from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.customers.dtos import CustomerChange, CustomerGiven, CustomerPage, CustomerView
from kernapay.customers.models import Customer
from kernapay.customers.repository import CustomerRepository
from kernapay.customers.validation import FIELDS, NOTHING, read_fields
from kernapay.security.principal import Principal
from kernapay.storage.repository import DuplicateRow

# Whose account it is, is personal as well.
_NOTHING: Final = dict.fromkeys((*FIELDS, "account_id", "granted_at", "claim"))
UNKNOWN: Final = "There is no customer with this id."


class CustomerErased(Conflict):
    """The customer was erased: nothing can be changed, and there are no further payments for them."""

    code = "customer_erased"
    title = "Customer erased"


class CustomerWasMerged(Conflict):
    """The customer is a part of another one, `mergedInto`: change that one."""

    code = "customer_merged"
    title = "Customer merged"


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
        """Return a customer of a shop, or the one that it was merged into. Raises NotFound, CustomerErased."""
        customer = await self._customers.find(customer_id, shop_id)
        if customer is None:
            raise NotFound("None of your customers has this id.", field="customerId")
        return standing(await self._customers.follow(customer))

    async def kept_id(self, actor: Principal, customer_id: str) -> str:
        """Return the id of the customer that has the payments: the given one if the caller may not see it."""
        view = await self._customers.view(customer_id, shop_of(actor))
        return customer_id if view is None else (await self._with_kept(view)).merged_into or view.id

    async def moving_into(self, customer: Customer) -> list[str]:
        """Return the ids of merged customers that may still have payments of this one. Raises Unavailable."""
        return await self._customers.moving_into(customer)

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
            return standing(await self._customers.follow(customer)), is_new
        known = await self._customers.by_reference(shop_id, given.reference)
        if known is None:
            row = Customer(id=ObjectId(), shop_id=shop_id, **fields)
            known, is_new = await self._customers.add_or_get(row, "shop_id", "reference")
            if is_new:
                return known, True
        return standing(await self._customers.follow(known)), False

    async def page(self, actor: Principal, count: int, cursor: str | None) -> CustomerPage:
        """Return a page of the customers that the caller may see, newest first. Raises NotFound for the `cursor`."""
        shop_id = shop_of(actor)
        after = None
        if cursor is not None:
            after = await self._customers.view(cursor, shop_id)
            if after is None:
                raise NotFound(UNKNOWN, field="cursor")
        # One more than asked for says whether there is another page.
        found = await self._customers.page(shop_id, after, count + 1)
        return CustomerPage(found[:count], found[count - 1].id if len(found) > count else None)

    async def view(self, actor: Principal, customer_id: str) -> CustomerView:
        """Return a customer. Raises NotFound, also for those of other shops."""
        view = await self._customers.view(customer_id, shop_of(actor))
        if view is None:
            raise NotFound(UNKNOWN)
        return await self._with_kept(view)

    async def list_for(self, actor: Principal, customer_id: str) -> CustomerView:
        """Return the customer whose payments to list: the caller's own, or one whose payments they were given.

        Raises NotFound.
        """
        view = await self._customers.view(customer_id, None)
        if view is None or not (
            shop_of(actor) in (None, view.shop_id) or view.account_id == actor.id
        ):
            raise NotFound(UNKNOWN)
        return await self._with_kept(view)

    async def is_given(self, customer_id: str, account_id: str) -> bool:
        """Return whether an account was granted the payments for a customer. Raises Unavailable."""
        view = await self._customers.view(customer_id, None)
        return view is not None and (await self._kept_of(view)).account_id == account_id

    async def change(
        self, actor: Principal, customer_id: str, data: CustomerChange
    ) -> CustomerView:
        """Change what is given.

        Raises NotFound, InvalidInput, CustomerErased, CustomerWasMerged, ReferenceTaken, CustomerChanged.
        """
        customer = await self._customers.find(customer_id, shop_of(actor))
        if customer is None:
            raise NotFound(UNKNOWN)
        if standing(customer).merged_into is not None:
            raise CustomerWasMerged("This customer is a part of another one: see its mergedInto.")
        fields = read_fields(data, production=self._production)
        if not fields:
            raise InvalidInput(NOTHING, field="body")
        _require_something({name: getattr(customer, name) for name in FIELDS} | fields, "body")
        if actor.is_admin:
            # Of somebody else's customer. What a shop does with its own is no privilege.
            facts = {"changed": sorted(fields)}
            async with self._audit.action(
                actor, "customer.change", target_of(customer_id), after=facts
            ):
                await self._store(customer, fields)
        else:
            await self._store(customer, fields)
        return await self.view(actor, customer_id)

    async def erase(self, actor: Principal, customer_id: str) -> CustomerView:
        """Remove all personal data for good, and return what is left. A repeat changes nothing. Raises NotFound.

        The worker deletes what else was copied: see `administration/erasure`.
        """
        view = await self.view(actor, customer_id)
        if view.erased_at is None:
            async with self._audit.action(actor, "customer.erase", target_of(customer_id)):
                # If nothing changes, somebody else has erased them meanwhile.
                await self._customers.erase(customer_id, view.shop_id, _NOTHING)
            view = await self.view(actor, customer_id)
        await self._customers.erase_parts(customer_id, view.shop_id, _NOTHING)
        return view

    async def erase_parts(self, customer: Customer) -> None:
        """Erase those that were merged into an erased customer. Raises Unavailable."""
        await self._customers.erase_parts(str(customer.pk), str(customer.shop_id), _NOTHING)

    async def _kept_of(self, view: CustomerView) -> CustomerView:
        while view.merged_into is not None and (
            kept := await self._customers.view(view.merged_into, None)
        ):
            view = kept
        return view

    async def _with_kept(self, view: CustomerView) -> CustomerView:
        """Set `mergedInto` in the view of a merged customer to the one that stays, after any number of merges."""
        if view.merged_into is not None:
            view.merged_into = (await self._kept_of(view)).id
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


def standing(customer: Customer) -> Customer:
    """Return the customer. Raises CustomerErased."""
    if customer.erased_at is not None:
        raise CustomerErased("This customer was erased. Nothing of them can be changed or paid.")
    return customer


def target_of(customer_id: str) -> str:
    """Return what audit entries call a customer."""
    return f"customer:{customer_id}"


def shop_of(actor: Principal) -> str | None:
    """Return the account whose customers the caller may see. Administrators see all: None."""
    return None if actor.is_admin else actor.id
