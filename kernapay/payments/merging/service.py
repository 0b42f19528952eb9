"""Merge one customer of a shop into another, and move the payments.

One write marks the row of the merged customer. From then on, every look-up of it leads to the customer that stays. The
payments are moved in batches. Each step may be repeated, and the worker finishes a merge whose process died.
"""

from typing import Final

from kernapay.audit.repository import AuditLog
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import InvalidInput, NotFound
from kernapay.customers.dtos import CustomerView
from kernapay.customers.models import Customer
from kernapay.customers.repository import CustomerRepository
from kernapay.customers.service import (
    UNKNOWN,
    CustomerChanged,
    CustomerService,
    CustomerWasMerged,
    shop_of,
    standing,
    target_of,
)
from kernapay.customers.validation import FIELDS
from kernapay.payments.ledger import PaymentLedger
from kernapay.security.principal import Principal

# What a request moves by itself: 5,000 payments.
_BATCHES_AT_ONCE: Final = 10
# The reference stays: a payment that is created for it is for the customer that stays.
_REMOVED: Final = (
    *(name for name in FIELDS if name != "reference"),
    # What was granted was for these payments. Those of the two together need a grant of their own.
    *("account_id", "granted_at", "claim"),
)


class CustomerMerging:
    def __init__(
        self,
        service: CustomerService,
        customers: CustomerRepository,
        ledger: PaymentLedger,
        audit: AuditLog,
    ) -> None:
        self._service = service
        self._customers = customers
        self._ledger = ledger
        self._audit = audit

    async def merge(self, actor: Principal, customer_id: str, into: str) -> CustomerView:
        """Merge a customer into another one of the same shop, and return what is left of it. A repeat finishes it.

        Raises NotFound, InvalidInput naming the field, CustomerErased, CustomerWasMerged, CustomerChanged, Unavailable.
        """
        customer = await self._customers.find(customer_id, shop_of(actor))
        if customer is None:
            raise NotFound(UNKNOWN)
        kept = await self._customers.find(into, str(customer.shop_id))
        if kept is None:
            raise NotFound("The shop has no customer with this id.", field="into")
        kept = await self._customers.follow(kept)
        if customer.merged_into is None:
            await self._mark(actor, customer, kept)
        elif (await self._customers.follow(customer)).pk != kept.pk:
            raise CustomerWasMerged(
                "This customer was merged into another one before: see its mergedInto."
            )
        crash_point("merge.marked")
        await self.move_payments(customer, kept, _BATCHES_AT_ONCE)
        return await self._service.view(actor, customer_id)

    async def move_payments(
        self, customer: Customer, kept: Customer, batches: int | None = None
    ) -> None:
        """Move the payments of a merged customer to the one that stays: all, or at most this many batches."""
        await self._customers.shorten(customer, kept)
        moved = 0
        while batches is None or moved < batches:
            if not await self._ledger.reassign(
                str(customer.shop_id), str(customer.pk), str(kept.pk)
            ):
                return
            crash_point("merge.moved")
            moved += 1

    async def _mark(self, actor: Principal, customer: Customer, kept: Customer) -> None:
        if kept.pk == customer.pk:
            raise InvalidInput("Must be another customer than the one to merge.", field="into")
        standing(customer)
        standing(kept)
        facts = {"into": str(kept.pk)}
        async with self._audit.action(
            actor, "customer.merge", target_of(str(customer.pk)), after=facts
        ):
            # In this order: see `begin_merge`.
            if not (
                await self._customers.begin_merge(kept)
                and await self._customers.merge(customer, kept, dict.fromkeys(_REMOVED))
            ):
                raise CustomerChanged(
                    "Another request changed one of the customers at the same time. Read them and try again."
                )
