"""Play the customer: pay, decline, or close the window."""

from typing import Any, Final

from msgspec import Struct

from kernapay.sandbox.books import Books
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Failure, Payment
from kernapay.sandbox.errors import ControlError, RazorpayError, unknown_id
from kernapay.sandbox.instruments import FAILURES, choose
from kernapay.sandbox.payments import Payments
from kernapay.sandbox.signing import sign_checkout

OUTCOMES: Final = ("success", "failure", "authorized", "pending", "dismiss")


class Play(Struct, forbid_unknown_fields=True, kw_only=True):
    """One customer's visit. Only the order is needed; the rest has a usual value."""

    order_id: str
    method: str = "card"
    outcome: str = "success"
    amount: int | None = None
    reason: str | None = None
    card_number: str | None = None
    card_name: str | None = None
    vpa: str | None = None
    bank: str | None = None
    wallet: str | None = None
    email: str | None = None
    contact: str | None = None
    description: str | None = None


class Customer:
    def __init__(self, config: SandboxConfig, books: Books, payments: Payments) -> None:
        self._config = config
        self._books = books
        self._payments = payments

    def play(self, play: Play) -> dict[str, Any]:
        """Return what Checkout would hand to the page; raise when the visit cannot take place."""
        if play.outcome not in OUTCOMES:
            raise ControlError(f"outcome must be one of {', '.join(OUTCOMES)}.", field="outcome")
        order = self._books.orders.get(play.order_id)
        if order is None:
            raise unknown_id()
        if order.owner not in self._config.keys:
            raise ControlError(
                f"The key of this order, {order.owner}, is no longer configured.", 409
            )
        failure = self._reason(play.reason)
        if play.outcome == "dismiss":
            return {"dismissed": True, "razorpay_order_id": order.id}
        instrument = choose(
            play.method,
            number=play.card_number,
            holder=play.card_name,
            vpa=play.vpa,
            bank=play.bank,
            wallet=play.wallet,
        )
        payment = self._payments.start(
            order.owner,
            order,
            instrument,
            amount=play.amount,
            email=play.email,
            contact=play.contact,
            description=play.description,
        )
        if play.outcome == "pending":
            self._payments.give_up_later(payment)
            return {"razorpay_payment_id": payment.id, "razorpay_order_id": order.id}
        if play.outcome == "failure" or instrument.declined_as:
            return self.decline(payment, failure or instrument.declined_as)
        return self.approve(payment, capture=play.outcome == "success")

    def approve(self, payment: Payment, *, capture: bool = True) -> dict[str, Any]:
        self._payments.authorize(payment, capture=capture)
        if payment.order_id is None:
            return {"razorpay_payment_id": payment.id}
        secret = self._config.keys[payment.owner]
        return {
            "razorpay_payment_id": payment.id,
            "razorpay_order_id": payment.order_id,
            "razorpay_signature": sign_checkout(secret, payment.order_id, payment.id),
        }

    def decline(self, payment: Payment, failure: Failure | None = None) -> dict[str, Any]:
        why = failure or FAILURES["payment_failed"]
        self._payments.fail(payment, why)
        return RazorpayError(
            why.description,
            code=why.code,
            source=why.source,
            step=why.step,
            reason=why.reason,
            metadata={"payment_id": payment.id}
            | ({"order_id": payment.order_id} if payment.order_id else {}),
        ).body

    @staticmethod
    def _reason(reason: str | None) -> Failure | None:
        if reason is not None and reason not in FAILURES:
            raise ControlError(f"reason must be one of {', '.join(FAILURES)}.", field="reason")
        return FAILURES[reason] if reason else None
