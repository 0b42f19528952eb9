"""Decide when to check a payment at the gateway, when an unpaid sale ends, and how to treat later money."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from kernapay.payments.models import Payment
from kernapay.payments.states import LatePayments, RefundState
from kernapay.storage.queue import Rules
from kernapay.storage.repository import Where

LATE_AUTHORIZATION: Final = timedelta(days=4)
"""How long after an attempt its money may still come.

Razorpay: it asks the bank for up to three days before it gives up a late authorisation. The fourth day is a margin.
"""
_LATE_GRACE: Final = timedelta(hours=24)
# The pauses between attempts to end a sale, while the gateway does not answer or the bank has not decided.
_END_PAUSES: Final = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 120, 720, 1440))
SURPLUS_PAUSES: Final = tuple(timedelta(minutes=minutes) for minutes in (2, 15, 60, 240, 1440))
# Longer than a check with a call for each of a payment's refunds. It is how long a worker that dies delays a payment.
_CHECK_LEASE: Final = timedelta(minutes=2)
_CHECK_PAUSES: Final = tuple(timedelta(minutes=minutes) for minutes in (15, 60, 240, 720, 1440))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    check_after: timedelta
    """The age at which an unfinished payment or refund is checked at the gateway (RECONCILE_AFTER)."""
    expire_after: timedelta
    """The age at which an unpaid payment expires (PAYMENT_EXPIRY)."""
    late_payments: LatePayments = LatePayments.REFUND
    """What becomes of money that comes after the end of its sale (LATE_PAYMENTS)."""

    def payable_until(self, payment: Payment) -> datetime:
        """Return when the sale ends if nobody pays. For rows without the field, today's setting decides."""
        return payment.payable_until or payment.created_at + self.expire_after

    def has_expired(self, payment: Payment, at: datetime) -> bool:
        """Return whether the payment is unpaid and can be paid no longer."""
        return (
            not payment.status.is_paid and not payment.final and self.payable_until(payment) <= at
        )

    def judge_late(self, payment: Payment, payment_id: str, at: datetime) -> LatePayments:
        """Return how to treat a payment of the gateway that came at a time, after its sale had ended unpaid.

        Until a day after its regular end, the sale is still paid, unless LATE_PAYMENTS is `hold`. Later, LATE_PAYMENTS
        decides. A payment that a person has approved pays the sale at any time. A cancelled sale is never paid.
        """
        if payment.cancelled_at is not None:
            return LatePayments.REFUND
        if payment.approved_payment_id == payment_id:
            return LatePayments.CAPTURE
        if self.late_payments is LatePayments.HOLD:
            return LatePayments.HOLD
        if at <= self.payable_until(payment) + _LATE_GRACE:
            return LatePayments.CAPTURE
        return self.late_payments

    def may_come_late(self, at: datetime) -> datetime:
        """Return the creation time of the oldest failed payments for which money may still come."""
        return at - self.expire_after - LATE_AUTHORIZATION

    def end_rules(self) -> Rules:
        """Return the rules of the queue of sales whose end is due. Payers take turns."""
        return _rules_of_checks(due="ends_at", attempts="end_checks", pauses=_END_PAUSES)

    def surplus_rules(self) -> Rules:
        """Return the rules of the queue of payments with surplus to return. Payers take turns."""
        rules = _rules_of_checks(due="surplus_at", attempts="surplus_checks", pauses=SURPLUS_PAUSES)
        return replace(rules, is_parked={"surplus_payments__status": RefundState.FAILED})

    def check_rules(self, waiting: Callable[[datetime], Where]) -> Rules:
        """Return the rules of a queue whose payments are checked until they are finished. Payers take turns.

        A check that could not ask the gateway is repeated when its lease ends, and not counted.
        """
        rules = _rules_of_checks(due="check_at", attempts="checks", pauses=_CHECK_PAUSES)
        return replace(rules, waiting=waiting, offset=self.check_after)


def _rules_of_checks(due: str, attempts: str, pauses: tuple[timedelta, ...]) -> Rules:
    return Rules(
        waiting=lambda _: {},
        due=due,
        attempts=attempts,
        leases=(_CHECK_LEASE,),
        pauses=pauses,
        counts_claims=False,
        is_visible=False,
        owner="user_id",
        reference="reference_id",
    )
