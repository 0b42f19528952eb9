"""The query of the checkout page."""

from kernapay.payments.checkout.dtos import CheckoutRow
from kernapay.payments.models import Payment
from kernapay.storage.repository import ReadOnlyRepository


class CheckoutRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def with_link(self, payment_id: str) -> CheckoutRow | None:
        """Return the payment if a link to it was asked for. Raises Unavailable if that is not known."""
        found = await self.select_one(CheckoutRow, id=payment_id)
        if found is None:
            await self.confirm_absence(id=payment_id)
        return found if found is not None and found.checkout else None
