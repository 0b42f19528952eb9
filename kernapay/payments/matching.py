"""Compare a payment of the gateway with ours, and choose the attempt of an order that decides."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from kernapay.gateway.base import (
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayTooOld,
    GatewayUnknown,
    Order,
    PaymentGateway,
)
from kernapay.payments.evidence import Evidence
from kernapay.payments.models import Mismatch, Payment
from kernapay.payments.references import receipt_of
from kernapay.payments.states import Event

# The most decisive status first: money that came in, money that may still come in, failure. Money that went back says
# nothing about another attempt.
_STATUSES: Final = ("captured", "authorized", "refunded", "created", "failed")
_MISMATCH_TEXTS: Final = {
    "order": "The gateway's payment belongs to another order.",
    "amount": "The gateway's payment has another amount than the order.",
    "currency": "The gateway's payment has another currency than the order.",
    "status": "The status of the gateway's payment contradicts this change.",
    "second_payment": "This is a second payment of the same order, and is being returned to the customer.",
    "late_payment": "The payment came after the end of its sale. An administrator decides about it.",
    "refund_of_another_payment": "The refund belongs to another payment.",
    "dispute_lost_after_refund": "The bank returned money of this payment, and it was refunded as well.",
    "surplus_not_returned": "This money is not for its sale, and its refunds fail or are refused.",
    "refund_of_second_payment": "The refund belongs to a second payment of the same order.",
}
MISMATCH_REASONS: Final = tuple(_MISMATCH_TEXTS)


async def find_mismatch(
    gateway: PaymentGateway,
    payment: Payment,
    gateway_payment: GatewayPayment,
    event: Event | None = None,
) -> str | None:
    """Return what does not match (`order`, `currency`, `status` or `amount`), or None when everything does.

    With an event, the status of the gateway's payment must agree with it. The name of an event alone proves nothing.
    An amount that was not ordered is looked up: the customer may bear the fee, or use an offer. Then the gateway's
    order says whether it is paid, and a second answer confirms the amount, since refunds are bounded by it.

    Raises GatewayError.
    """
    reason = _compare(payment, gateway_payment, event)
    is_known = payment.status.is_paid and payment.razorpay_payment_id == gateway_payment.id
    if reason != "amount" or is_known or gateway_payment.order_id is None:
        return reason
    order = await gateway.fetch_order(gateway_payment.order_id)
    is_enough = order.status == "paid" or gateway_payment.status == "authorized"
    if not is_enough or not is_order_of(payment, order):
        return reason
    await confirm_amount(gateway, gateway_payment)
    return None


async def confirm_amount(gateway: PaymentGateway, gateway_payment: GatewayPayment) -> None:
    """Ask the gateway once more for a payment with an unexpected amount.

    Raises GatewayUnknown if the second answer has another amount, and GatewayError.
    """
    again = await gateway.fetch_payment(gateway_payment.id)
    if again.amount != gateway_payment.amount:
        raise GatewayUnknown("The payment gateway gave two amounts for one payment.")


async def confirm_unpaid(gateway: PaymentGateway, order_id: str) -> None:
    """Ask the gateway for an order none of whose payments has money in it.

    Raises GatewayUnknown if the order is paid all the same, and GatewayError.

    Razorpay: the list of an order's payments takes no page, so it may be cut. The order itself says whether it is paid.
    """
    try:
        order = await gateway.fetch_order(order_id)
    except (GatewayMissing, GatewayTooOld):
        return  # nothing speaks for a payment, and nothing else can be asked
    if order.status == "paid" or order.amount_paid > 0:
        raise GatewayUnknown(
            "The payment gateway calls the order paid, and lists no payment of it."
        )


def _compare(payment: Payment, gateway_payment: GatewayPayment, event: Event | None) -> str | None:
    if payment.razorpay_order_id != gateway_payment.order_id:
        return "order"
    if payment.currency != gateway_payment.currency:
        return "currency"
    if _contradicts(event, gateway_payment):
        return "status"
    if event in (Event.DECLINED, Event.AUTHORIZED):
        return None  # no money came in
    is_ours = payment.razorpay_payment_id == gateway_payment.id
    expected = payment.amount_captured if is_ours else payment.amount
    return None if expected == gateway_payment.amount else "amount"


def is_order_of(payment: Payment, order: Order) -> bool:
    """Return whether the gateway's order is the one that was made for the payment."""
    return (order.id, order.amount, order.currency, order.receipt) == (
        payment.razorpay_order_id,
        payment.amount,
        payment.currency,
        receipt_of(payment),
    )


def is_refund_of(gateway_payment: GatewayPayment, refund: GatewayRefund) -> bool:
    """Return whether a refund can belong to a payment: it is not more than was paid."""
    return (refund.payment_id, refund.currency) == (
        gateway_payment.id,
        gateway_payment.currency,
    ) and 0 < refund.amount <= gateway_payment.amount


def explain_mismatch(reason: str) -> str:
    """Return a sentence for the reason of a mismatch."""
    return f"{_MISMATCH_TEXTS[reason]} Nothing was changed."


def build_mismatch(evidence: Evidence, reason: str, at: datetime) -> Mismatch:
    """Return the record of evidence that does not match its payment."""
    gateway_payment = evidence.payment
    return Mismatch(
        at=at,
        source=evidence.origin.source,
        reason=reason,
        event=evidence.origin.event,
        event_id=evidence.origin.event_id,
        actor=evidence.origin.actor,
        order_id=gateway_payment.order_id,
        payment_id=gateway_payment.id,
        amount=gateway_payment.amount,
        currency=gateway_payment.currency,
    )


def best_attempt(attempts: Iterable[GatewayPayment]) -> GatewayPayment | None:
    """Return the attempt with the most decisive status, or None when no attempt has a status we know."""
    candidates = [attempt for attempt in attempts if attempt.status in _STATUSES]
    return min(
        candidates, key=lambda a: (_STATUSES.index(a.status), -a.created_at, a.id), default=None
    )


def of_sale(payment: Payment, attempts: Sequence[GatewayPayment]) -> Sequence[GatewayPayment]:
    """Return the attempts of an order that may settle its payment.

    For a paid sale of an earlier service, that is only the one that paid it. A person decides about other money: it may
    have been returned outside of the gateway.
    """
    if payment.former is None or not payment.status.is_paid:
        return attempts
    counted = [each for each in attempts if each.id == payment.razorpay_payment_id]
    return counted or attempts


def _contradicts(event: Event | None, gateway_payment: GatewayPayment) -> bool:
    if event is Event.CAPTURED:
        return not gateway_payment.is_captured
    if event is Event.DECLINED:
        return gateway_payment.is_captured or gateway_payment.status in ("created", "authorized")
    return False
