"""The payments that this process has just created: a client that repeats its call is answered without the database."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from kernapay.payments.models import Payment
from kernapay.payments.repository import CreatedPayment

# Some two megabytes. A payment for a customer is not kept: it follows when the customer is merged into another one.
_MOST: Final = 2048
# Clients repeat a call within seconds. Whoever restores an older copy of the database may forget to restart this.
_SECONDS: Final = 600.0


class _Kept(NamedTuple):
    payment: CreatedPayment
    until: float


class RecentPayments:
    """By payer and idempotency key. Nothing changes in them: they have their order, and no customer."""

    def __init__(self, timer: Callable[[], float] = monotonic) -> None:
        self._timer = timer
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def add(self, payment: Payment) -> None:
        """Keep a payment that this process created for ten minutes, unless it may still change."""
        if payment.razorpay_order_id is None or payment.customer_id or payment.former:
            return
        created = CreatedPayment(
            id=str(payment.pk),
            user_id=str(payment.user_id),
            amount=payment.amount,
            currency=payment.currency,
            reference_id=payment.reference_id,
            idempotency_key=payment.idempotency_key,
            razorpay_order_id=payment.razorpay_order_id,
            fingerprint=payment.fingerprint,
            livemode=payment.livemode,
            payable_until=payment.payable_until,
            checkout=payment.checkout,
        )
        self._kept[created.user_id, str(payment.idempotency_key)] = _Kept(
            created, self._timer() + _SECONDS
        )
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def find(self, user_id: str, key: str) -> CreatedPayment | None:
        """Return what a user's call with this key created, None if that is not known here."""
        kept = self._kept.get((user_id, key))
        return kept.payment if kept and self._timer() < kept.until else None
