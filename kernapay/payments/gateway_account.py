"""Detect gateway keys of another account or mode than the stored payments."""

from typing import Final

from kernapay.gateway.base import GatewayMissing, PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.repository import PaymentRepository

# Several, so that one order that was deleted by hand is no change of the account.
_LOOKED_AT: Final = 5
_MODES: Final = {True: "live", False: "test"}
ADVICE: Final = (
    "set RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET to keys of the account and mode of these payments. If the change is "
    "meant: refund in the old account what is to be refunded; `kernapay audit` names what was paid there. Unpaid "
    "payments expire by themselves."
)


class GatewayAccount:
    def __init__(self, payments: PaymentRepository, gateway: PaymentGateway, *, live: bool) -> None:
        self._payments = payments
        self._gateway = gateway
        self._live = live

    async def find_change(self) -> str | None:
        """Return what is wrong with the keys, as the rest of a sentence; None if nothing is known to be wrong.

        Raises Unavailable, and GatewayError when the gateway answers nothing certain.
        """
        newest = [p for p in await self._payments.newest(_LOOKED_AT) if p.razorpay_order_id]
        modes = {payment.livemode for payment in newest if payment.livemode is not None}
        if modes == {not self._live}:
            ours, theirs = _MODES[self._live], _MODES[not self._live]
            return f"are {ours} keys, but the newest payments were made with {theirs} keys"
        missing = [payment for payment in newest if not await self._knows(payment)]
        if not newest or len(missing) < len(newest):
            return None
        return (
            f"belong to another account than the stored payments: it knows none of the newest {len(newest)}, "
            f"such as {missing[0].razorpay_order_id}"
        )

    async def _knows(self, payment: Payment) -> bool:
        try:
            await self._gateway.fetch_order(str(payment.razorpay_order_id))
        except GatewayMissing:
            return False
        return True
