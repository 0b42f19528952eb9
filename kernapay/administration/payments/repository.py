"""The queries by which administrators find payments."""

from typing import Any, Final

from bson import ObjectId

from kernapay.administration.payments.dtos import AdminPaymentView
from kernapay.payments.models import Payment
from kernapay.payments.note_hashes import hash_note
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.repository import ReadOnlyRepository

_MOST: Final = 20
_NEWEST: Final = (
    OrderBy("created_at", descending=True),
    OrderBy("reference_id", descending=True),
)


class PaymentSearchRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def by_id(self, payment_id: ObjectId) -> list[AdminPaymentView]:
        return await self._look_up(id=payment_id)

    async def by_reference(self, reference_id: str) -> list[AdminPaymentView]:
        """Return the payment with this reference, which may be the earlier one of an imported payment."""
        return await self._look_up(reference_id=reference_id) or await self._look_up(
            __raw__={"former.reference": reference_id}
        )

    async def by_order(self, order_id: str) -> list[AdminPaymentView]:
        """Return the payment of an order at the gateway, which may be a surplus order."""
        return await self._look_up(razorpay_order_id=order_id) or await self._look_up(
            surplus_orders=order_id
        )

    async def by_gateway_payment(self, payment_id: str) -> list[AdminPaymentView]:
        """Return our payment for one of the gateway, which settled it, is surplus to it, or did not match it."""
        for where in (
            {"razorpay_payment_id": payment_id},
            {"__raw__": {"surplusPayments.paymentId": payment_id}},
            {"__raw__": {"mismatches.paymentId": payment_id}},
        ):
            if found := await self._look_up(**where):
                return found
        return []

    async def by_dispute(self, dispute_id: str) -> list[AdminPaymentView]:
        return await self._look_up(__raw__={"disputes.disputeId": dispute_id})

    async def by_settlement(self, settlement_id: str) -> list[AdminPaymentView]:
        return await self._look_up(__raw__={"settlements.settlementId": settlement_id})

    async def by_utr(self, utr: str) -> list[AdminPaymentView]:
        """Return payments of the bank transfer with this number."""
        return await self._look_up(__raw__={"settlements.utr": utr})

    async def by_refund(self, refund_id: str) -> list[AdminPaymentView]:
        return await self._look_up(__raw__={"refunds.refundId": refund_id})

    async def by_note(self, value: str) -> list[AdminPaymentView]:
        """Return the newest payments with this value in their notes."""
        newest = OrderBy("created_at", descending=True)
        return await self.select(
            AdminPaymentView, newest, LimitOffset(_MOST), note_hashes=hash_note(value)
        )

    async def of_user(self, user_id: ObjectId) -> list[AdminPaymentView]:
        """Return the newest payments of a user."""
        return await self.select(AdminPaymentView, *_NEWEST, LimitOffset(_MOST), user_id=user_id)

    async def _look_up(self, **where: Any) -> list[AdminPaymentView]:
        found = await self.select(AdminPaymentView, LimitOffset(_MOST), **where)
        return sorted(found, key=lambda payment: payment.created_at, reverse=True)
