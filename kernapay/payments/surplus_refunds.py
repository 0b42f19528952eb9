"""Refund surplus money at the gateway: a second payment of an order, a late one, or that of a surplus order."""

from collections.abc import Sequence
from dataclasses import dataclass

from kernapay.gateway.base import GatewayPayment, GatewayRefund, PaymentGateway
from kernapay.payments.matching import confirm_amount


@dataclass(frozen=True, slots=True)
class Surplus:
    """A surplus payment and its refunds as the gateway has them now. Amounts are in minor units."""

    payment: GatewayPayment
    refunds: Sequence[GatewayRefund]
    lost: int
    """What the customer's bank has taken back for good. Nobody may return that once more."""

    @property
    def returned(self) -> int:
        """The amount that has reached the customer's bank."""
        return self._sum("processed")

    @property
    def remaining(self) -> int:
        """The amount that no refund returns. A failed refund returns nothing."""
        standing = sum(refund.amount for refund in self.refunds) - self._sum("failed")
        return self.payment.amount - self.lost - standing

    @property
    def is_returned(self) -> bool:
        return self.returned + self.lost >= self.payment.amount

    @property
    def failures(self) -> int:
        """The number of refunds that failed."""
        return sum(refund.status == "failed" for refund in self.refunds)

    @property
    def receipt(self) -> str:
        """The receipt of the next refund, at most 40 characters. Once a refund has failed, the next has another one."""
        return f"surplus_{self.payment.id}" + (f"_{self.failures}" if self.failures else "")

    @property
    def key(self) -> str:
        """The key of the next refund.

        It follows from what the gateway says, so whoever repeats an attempt sends the same key with the same amount.
        Razorpay: a known key is answered with the refund that failed, and refused with another amount.
        """
        return f"{self.receipt}_{self.remaining}"

    def _sum(self, status: str) -> int:
        return sum(refund.amount for refund in self.refunds if refund.status == status)


async def look_at_surplus(
    gateway: PaymentGateway, payment_id: str, lost: int, *, entered: int | None = None
) -> Surplus:
    """Ask the gateway for a surplus payment and its refunds. Raises GatewayError.

    `lost` is what disputes have taken of it for good, and `entered` the amount that is known, both in minor units.
    Another amount is believed only when the gateway says it twice: it is what goes back.
    """
    payment = await gateway.fetch_payment(payment_id)
    if entered not in (None, payment.amount):
        await confirm_amount(gateway, payment)
    return Surplus(payment, await gateway.refunds_of(payment_id), lost)


async def return_surplus(gateway: PaymentGateway, surplus: Surplus) -> None:
    """Refund the remaining amount. A repeat does not return the money again. Raises GatewayError."""
    if surplus.remaining > 0:
        await gateway.refund(
            surplus.payment.id,
            amount=surplus.remaining,
            key=surplus.key,
            receipt=surplus.receipt,
            speed="normal",
        )
