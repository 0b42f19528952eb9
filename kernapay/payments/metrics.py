"""The counters of payments. No label has a value that a client may choose."""

from functools import cache
from typing import Final

from kernapay.core.metrics import Counter, start_at_zero
from kernapay.payments.models import Payment
from kernapay.payments.states import Source, Status

MOVES: Final = Counter(
    "kernapay_payment_moves_total", "Payments that changed their status", ("status", "source")
)
MISMATCHES: Final = Counter(
    "kernapay_payment_mismatches_total", "Evidence that did not match its payment", ("source",)
)
PAYMENTS: Final = Counter(
    "kernapay_payments_total",
    "Payments that came into a status, by the gateway's method of payment and the source of the news",
    ("status", "method", "source"),
)
_OTHER: Final = "other"
_NONE: Final = "none"
# Razorpay adds methods, and a label must not have any number of values.
_METHODS: Final = (
    *("card", "upi", "netbanking", "wallet", "emi", "cardless_emi", "paylater", "bank_transfer"),
    *(_OTHER, _NONE),
)
_DECIDED: Final = (Status.SUCCESS.value, Status.FAILED.value, Status.REFUNDED.value)
_SOURCES: Final = tuple(source.value for source in Source)
start_at_zero(MOVES, _DECIDED[:2], _SOURCES)
start_at_zero(MISMATCHES, _SOURCES)
start_at_zero(PAYMENTS, [Status.PENDING.value], [_NONE], [Source.API.value])
start_at_zero(PAYMENTS, _DECIDED, _METHODS, _SOURCES)

# The library looks a series up under a lock.
_payments_series: Final = cache(PAYMENTS.labels)
_moves_series: Final = cache(MOVES.labels)


def count_payment(payment: Payment, source: Source) -> None:
    """Count a payment in its present status."""
    _payments_series(payment.status.value, _method_of(payment), source.value).inc()


def count_move(payment: Payment, source: Source) -> None:
    """Count that a payment was moved into its present status by evidence or the end of its sale."""
    _moves_series(payment.status.value, source.value).inc()
    count_payment(payment, source)


def _method_of(payment: Payment) -> str:
    method = payment.payment_method or _NONE
    return method if method in _METHODS else _OTHER
