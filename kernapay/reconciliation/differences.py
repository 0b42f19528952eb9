"""The differences between a payment of ours and the gateway's record of its order."""

from collections.abc import Sequence
from dataclasses import dataclass

from kernapay.gateway.base import GatewayPayment, GatewayRefund, OddEntity, Order
from kernapay.payments.models import Payment
from kernapay.payments.returns import is_counted
from kernapay.reconciliation.models import Kind

# Refunds that the gateway counts as returned, or will.
_PROCESSED = "processed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between our records and the gateway's. `ours` and `theirs` are the two values, as text."""

    kind: Kind
    payment: Payment | None = None
    order_id: str | None = None
    razorpay_payment_id: str | None = None
    dispute_id: str | None = None
    ours: str | None = None
    theirs: str | None = None

    @property
    def subject(self) -> str | None:
        """What the difference is about: our reference if we have the payment, else the gateway's id."""
        if self.payment is not None:
            return self.payment.reference_id
        return self.order_id or self.razorpay_payment_id


def compare(payment: Payment, order: Order, attempts: Sequence[GatewayPayment]) -> list[Difference]:
    """Return the differences between a payment and the gateway's order: amount, status, refunds, fee.

    Every other captured payment of the order is one, even if its amount was refunded: the money may still come back.
    """
    differences = []
    if not is_same_amount(payment, order):
        ours, theirs = describe(payment), describe(order)
        differences.append(Difference(Kind.AMOUNT, payment, order.id, ours=ours, theirs=theirs))
    entries = (each.payment_id for each in payment.surplus_payments)
    surplus = {each for each in entries if not is_counted(payment, each)}
    captures = [attempt for attempt in attempts if attempt.is_captured]
    # At the gateway, an order stays paid when its money came too late for us.
    is_sold = bool({capture.id for capture in captures} - surplus)
    is_paid = is_sold or (order.status == "paid" and not surplus)
    if is_paid != payment.status.is_paid:
        differences.append(
            Difference(
                Kind.STATUS,
                payment,
                order.id,
                captures[0].id if captures else None,
                ours=payment.status.value,
                theirs="paid" if is_paid else order.status,
            )
        )
    for capture in captures:
        if not payment.status.is_paid and capture.id not in surplus:
            continue
        # Surplus may be the payment that the row names: an attempt that had failed, and whose money came too late.
        if capture.id in surplus or capture.id != payment.razorpay_payment_id:
            first = payment.razorpay_payment_id
            differences.append(
                Difference(Kind.SECOND_PAYMENT, payment, order.id, capture.id, ours=first)
            )
        else:
            differences += _compare_money(payment, order, capture)
    return differences


def is_same_amount(payment: Payment, order: Order) -> bool:
    """Return whether the gateway's order is over what we ordered. What was paid for it may be another amount."""
    return (payment.amount, payment.currency) == (order.amount, order.currency)


def refunds_agree(payment: Payment, refunds: Sequence[GatewayRefund]) -> bool:
    """Return whether the refunds that were processed are the same ones here and there.

    Razorpay: the sum in its payment may include refunds that are pending or have failed, so it decides nothing.
    """
    ours = {r.refund_id: r.amount for r in payment.refunds if r.status.value == _PROCESSED}
    theirs = {r.id: r.amount for r in refunds if r.status == _PROCESSED}
    return ours == theirs and payment.amount_refunded == sum(theirs.values())


def find_unsettled(payment: Payment) -> list[Difference]:
    """Return the difference for a captured payment that is in no processed settlement."""
    if payment.settled_at is not None or not payment.status.is_paid:
        return []
    ours = f"{payment.amount_captured} {payment.currency} captured"
    if payment.paid_at is not None:
        ours += f" on {payment.paid_at.date()}"
    order_id, payment_id = payment.razorpay_order_id, payment.razorpay_payment_id
    kind, theirs = Kind.UNSETTLED, "not settled"
    return [Difference(kind, payment, order_id, payment_id, ours=ours, theirs=theirs)]


def describe(record: Payment | Order) -> str:
    return f"{record.amount} {record.currency} {record.status}"


def unreadable(
    item: OddEntity, order_id: str | None, razorpay_payment_id: str | None
) -> Difference:
    """Return the difference for an entity that cannot be decoded."""
    return Difference(
        Kind.UNREADABLE,
        order_id=order_id,
        razorpay_payment_id=razorpay_payment_id,
        theirs=f"{item.id or 'an entity without an id'}: {item.problem}",
    )


def _compare_money(
    payment: Payment, order: Order, gateway_payment: GatewayPayment
) -> list[Difference]:
    differing: list[tuple[Kind, int, int]] = []
    if gateway_payment.amount != payment.amount_captured:
        # One answer of the gateway was wrong, or somebody changed the row.
        differing.append((Kind.AMOUNT, payment.amount_captured, gateway_payment.amount))
    pending = sum(r.amount for r in payment.refunds if r.status == "pending")
    refunded = gateway_payment.amount_refunded or 0
    # Razorpay: `amount_refunded` may include a refund that is still pending.
    if refunded not in (payment.amount_refunded, payment.amount_refunded + pending):
        differing.append((Kind.REFUNDS, payment.amount_refunded, refunded))
    ours, theirs = payment.fee, gateway_payment.fee
    if ours is not None and theirs is not None and ours != theirs:
        differing.append((Kind.FEE, ours, theirs))
    return [
        Difference(kind, payment, order.id, gateway_payment.id, ours=str(here), theirs=str(there))
        for kind, here, there in differing
    ]
