"""Queries on customers. With a `shop_id`, they find only the customers of that account."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from msgspec import Struct, field

from kernapay.core.clock import Clock, now
from kernapay.customers.dtos import CustomerView, Prefill
from kernapay.customers.models import Customer
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import Repository, Row, Rows
from kernapay.storage.updates import Changed

_NEWEST = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
_FOLLOW_UP_LEASE: Final = timedelta(minutes=2)
# A create that was under way when its customer was merged may store its payment later: seconds, or longer in a process
# that was suspended.
_FOLLOW_UP_PAUSES: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
_FIRST_TIME: Final = datetime.fromtimestamp(0, UTC)
_STANDING: Final = {"erased_at": None, "merged_into": None}
_MOST_FOLLOW_UPS: Final = len(_FOLLOW_UP_PAUSES) + 1


class CustomerRepository(Repository[Customer]):
    model = Customer

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.queue = Queue(
            "customers",
            self,
            Rules(
                waiting=lambda _: {"follow_up_at__gt": _FIRST_TIME},
                due="follow_up_at",
                attempts="follow_ups",
                leases=(_FOLLOW_UP_LEASE,),
                pauses=_FOLLOW_UP_PAUSES,
                counts_claims=False,
                is_visible=False,
                renews=True,
            ),
            key=_key_of,
        )

    async def by_reference(self, shop_id: str, reference: str) -> Customer | None:
        """Return the customer with a shop's reference, even if it was merged."""
        found = await self.list(LimitOffset(1), shop_id=shop_id, reference=reference)
        return found[0] if found else None

    async def follow(self, customer: Customer) -> Customer:
        """Return the customer that this one was merged into, or itself."""
        while customer.merged_into is not None:
            customer = await self.get(id=customer.merged_into)
        return customer

    async def find(self, customer_id: str, shop_id: str | None) -> Customer | None:
        """Return a customer. Raises Unavailable if its absence cannot be confirmed."""
        customer = await self.get_one_or_none(id=customer_id)
        if customer is None:
            await self.confirm_absence(id=customer_id)
        return customer if _is_of(shop_id, customer and customer.shop_id) else None

    async def view(self, customer_id: str, shop_id: str | None) -> CustomerView | None:
        """Return the view of a customer. Raises Unavailable as `find`."""
        view = await self.select_one(CustomerView, id=customer_id)
        if view is None:
            await self.confirm_absence(id=customer_id)
        return view if _is_of(shop_id, view and view.shop_id) else None

    async def erased_among(self, customer_ids: Collection[str]) -> set[str]:
        """Return the erased ones among these customers, and those merged into an erased one. Raises Unavailable."""
        following: Collection[str] = customer_ids
        remains: dict[str, _Remains] = {}
        asked: set[str] = set()
        # A row written by hand may lead back to one that was asked for: each is read once.
        while wanted := {each for each in following if ObjectId.is_valid(each)} - asked:
            asked |= wanted
            found = await self.select(_Remains, id__in=list(wanted))
            remains |= {row.id: row for row in found}
            following = {row.merged_into for row in found if row.merged_into is not None}
        return {each for each in customer_ids if _is_erased(each, remains)}

    async def prefill(self, customer_id: str) -> Prefill | None:
        """Return the data that Checkout need not ask the customer for. Raises Unavailable."""
        kept = await self.kept_view(customer_id)
        return None if kept is None else Prefill(kept.name, kept.email, kept.contact)

    async def kept_view(self, customer_id: str) -> CustomerView | None:
        """Return the view of the customer that this one was merged into. Payments are moved a moment later."""
        if not ObjectId.is_valid(customer_id):
            return None  # of a payment that was written by hand
        view = await self.select_one(CustomerView, id=customer_id)
        while view is not None and view.merged_into is not None:
            view = await self.select_one(CustomerView, id=view.merged_into)
        return view

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
        where = {**_key_of(customer), "updated_at": customer.updated_at, **_STANDING}
        return await self.update_where(where, **_changes(fields)) is not None

    async def begin_merge(self, kept: Customer) -> bool:
        """Record on the customer that stays that a merge into it begins. Return False if it was merged or erased.

        A merge of the kept customer that has read it before finds it changed. So if merges would form a circle, one of
        them fails.
        """
        begun = await self.update_if(_key_of(kept), _STANDING, is_visible=False, inc__merges=1)
        return isinstance(begun, Changed)

    async def merge(self, customer: Customer, kept: Customer, fields: Mapping[str, None]) -> bool:
        """Merge a customer into another one, and remove fields.

        Return False if it was merged or erased, or a merge into it has begun, since it was read.
        """
        at = self.clock()
        merged = await self.update_if(
            _key_of(customer),
            {"merges": customer.merges, **_STANDING},
            set__merged_into=kept.pk,
            set__merged_at=at,
            set__follow_up_at=at,
            set__follow_ups=0,
            **_changes(fields),
        )
        return isinstance(merged, Changed)

    async def shorten(self, customer: Customer, kept: Customer) -> None:
        """Point customers that were merged into a merged customer to the one that stays."""
        where = {"shopId": customer.shop_id, "mergedInto": customer.pk}
        change = {"$set": {"mergedInto": kept.pk}}
        await self._run(lambda: self._collection.update_many(where, change))

    async def end_follow_up(self, customer: Customer) -> None:
        """Take a customer off the worker's list after its last check."""
        if self.queue.attempt_of(customer) >= _MOST_FOLLOW_UPS:
            await self.queue.finish(customer, unset__follow_up_at=True, unset__follow_ups=True)

    async def moving_into(self, customer: Customer) -> list[str]:
        """Return the ids of customers merged into this one lately, which may still have payments."""
        if customer.merges is None:
            return []
        where = {"shop_id": customer.shop_id, "merged_into": customer.pk}
        merged = await self.select(_RowId, **where, follow_up_at__gt=_FIRST_TIME)
        return [each.id for each in merged]

    async def restore(self, customer_id: str, shop_id: str) -> str | None:
        """Return the id of the customer that this one was merged into, or its own.

        If a restore of an older copy has lost the customer, enter it with the id only. Return None if it belongs to
        another shop.
        """
        customer, _ = await self.add_or_get(Customer(id=customer_id, shop_id=shop_id), "id")
        if not _is_of(shop_id, customer.shop_id):
            return None
        return str((await self.follow(customer)).pk)

    async def erase(self, customer_id: str, shop_id: str, fields: Mapping[str, None]) -> bool:
        """Remove fields for good. Return False if that was done before, or the customer does not exist."""
        where = {"id": customer_id, "shop_id": shop_id, "erased_at": None}
        at = self.clock()
        due = {"set__follow_up_at": at, "set__follow_ups": 0}
        change = {**_changes(fields), "set__erased_at": at, **due}
        return await self.update_where(where, **change) is not None

    async def erase_parts(self, customer_id: str, shop_id: str, fields: Mapping[str, None]) -> None:
        """Remove fields of those that were merged into a customer, and of those merged into these."""
        at = self.clock()
        times = {"erasedAt": at, "updatedAt": at}
        change: Row = {"$set": times, "$unset": dict.fromkeys(map(self._column, fields), True)}

        def erase(ids: list[ObjectId]) -> list[ObjectId]:
            where: Row = {"shopId": ObjectId(shop_id), "mergedInto": {"$in": ids}}
            parts = list(self._collection.find(where, {"erasedAt": 1}))
            left = [row["_id"] for row in parts if row.get("erasedAt") is None]
            if left:
                self._collection.update_many({"_id": {"$in": left}, "erasedAt": None}, change)
            return [row["_id"] for row in parts]

        ids = [ObjectId(customer_id)]
        while ids:
            ids = await self._run(erase, ids)


def _key_of(customer: Customer) -> dict[str, Any]:
    # MongoDB: `shopId` is the shard key. Without it, a sharded collection rejects the update.
    return {"id": customer.pk, "shop_id": customer.shop_id}


class _RowId(Struct):
    id: str = field(name="_id")


class _Remains(Struct, rename="camel"):
    id: str = field(name="_id")
    erased_at: datetime | None = None
    merged_into: str | None = None


def _is_erased(customer_id: str, remains: Mapping[str, _Remains]) -> bool:
    """Return whether a customer, or the one it was merged into, was erased."""
    passed: set[str] = set()
    row = remains.get(customer_id)
    while row is not None and row.id not in passed:
        if row.erased_at is not None:
            return True
        passed.add(row.id)
        row = remains.get(row.merged_into or "")
    return False


def _is_of(shop_id: str | None, owner: object) -> bool:
    """Return whether the shop may see a customer of this owner. None stands for all shops."""
    return owner is not None and shop_id in (None, str(owner))


def _changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    # A field without a value is not there: the index of references has no row without one.
    return {
        f"unset__{name}" if value is None else f"set__{name}": True if value is None else value
        for name, value in fields.items()
    }
