"""The queries of erasures."""

from collections.abc import Sequence

from bson import ObjectId
from msgspec import Struct

from kernapay.payments.models import Payment
from kernapay.payments.pagination import of_payer
from kernapay.payments.references import gateway_names_of
from kernapay.storage.repository import ReadOnlyRepository, Row


class _Reference(Struct, rename="camel"):
    reference_id: str
    customer_id: str | None = None


class ReferenceRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def of_customer(self, customer_id: str) -> list[str]:
        """Return the references of all payments for a shop's customer."""
        rows = await self._all({"customerId": ObjectId(customer_id)})
        return [row.reference_id for row in rows]

    async def of_payer(self, user_id: str) -> list[str]:
        """Return the references of all payments that a user made for themselves."""
        rows = await self._all(of_payer(user_id))
        return [row.reference_id for row in rows if row.customer_id is None]

    async def gateway_names(self, references: Sequence[str]) -> list[str]:
        """Return the receipts and ids by which the gateway was asked about these payments."""
        payments = await self.list(reference_id__in=list(references))
        return [name for payment in payments for name in gateway_names_of(payment)]

    async def _all(self, where: Row) -> list[_Reference]:
        return [row async for batch in self.batches(_Reference, __raw__=where) for row in batch]
