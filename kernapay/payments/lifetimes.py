"""How old is too old: when a payment is looked up at the gateway, and when it stops waiting for money."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kernapay.payments.models import Payment
from kernapay.payments.states import Status
from kernapay.storage.queue import Rules
from kernapay.storage.repository import Where

LATE_AUTHORIZATION: Final = timedelta(days=4)
"""How long a failed payment may still be authorised.

Razorpay asks the bank for up to three days before it gives a late authorisation up.
"""
# The pauses between two looks at a payment.
_CHECKS: Final = tuple(timedelta(minutes=minutes) for minutes in (15, 60, 240, 720, 1440))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    check_after: timedelta
    """The age at which a payment or refund without an end is looked up (RECONCILE_AFTER)."""
    unpaid: timedelta
    """The age at which a payment that nobody paid expires (PAYMENT_EXPIRY)."""

    def has_expired(self, payment: Payment, at: datetime) -> bool:
        """Whether nobody paid in time, and no bank has agreed to pay."""
        return (
            payment.status is Status.PENDING
            and payment.authorized_at is None
            and payment.created_at + self.unpaid < at
        )

    def check_rules(self, waiting: Callable[[datetime], Where]) -> Rules:
        """Return the rules of a queue of payments that are looked up until they have come to their end.

        A claim schedules the next look, so a look that found nothing new writes nothing.
        """
        return Rules(
            waiting=waiting,
            due="check_at",
            attempts="checks",
            leases=_CHECKS,
            offset=self.check_after,
        )
