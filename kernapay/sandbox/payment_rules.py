"""What payments take from their order, and what they are refused for."""

import random
from typing import Final

from kernapay.sandbox.account_entities import Offer
from kernapay.sandbox.entities import Order, Payment
from kernapay.sandbox.errors import RazorpayError

ALREADY_PAID: Final = (
    "Your payment has been declined as the order is already paid. "
    "Please initiate the payment with a new order."
)


def counts(payment: Payment) -> int:
    """Return how much of its order the payment pays."""
    return payment.amount if payment.order_amount is None else payment.order_amount


def check_method(order: Order, method: str) -> None:
    """Raise RazorpayError if the order may be paid by another method only."""
    if order.method is not None and order.method != method:
        raise RazorpayError(
            "Payment method used does not match with the method of the order.",
            source="customer",
            reason="order_payment_method_mismatch",
            metadata={"order_id": order.id},
        )


def offer_price(offer: Offer, amount: int) -> int:
    """Return what the customer pays with the offer. A cashback comes later, and changes nothing."""
    if offer.kind != "instant":
        return amount
    discount = offer.amount if offer.amount is not None else amount * (offer.percent or 0) // 100
    return max(1, amount - discount)


def order_declined(description: str, order: Order) -> RazorpayError:
    return RazorpayError(
        description,
        source="customer",
        reason="order_already_paid",
        metadata={"order_id": order.id},
    )


def acquirer_data(method: str, *, is_authorized: bool) -> dict[str, str | None]:
    """Return the bank's references for a payment: null until the bank has authorised it."""

    def reference(digits: int) -> str | None:
        if not is_authorized:
            return None
        return str(random.randrange(10 ** (digits - 1), 10**digits))  # noqa: S311

    if method == "card":
        return {"auth_code": reference(6)}
    if method == "upi":
        upi_transaction_id = f"SBX{reference(30)}" if is_authorized else None
        return {"rrn": reference(12), "upi_transaction_id": upi_transaction_id}
    if method == "netbanking":
        return {"bank_transaction_id": reference(7)}
    return {"transaction_id": reference(9)}
