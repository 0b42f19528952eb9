"""The ages at which a payment is checked at the gateway, and at which an unpaid one expires."""

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

Razorpay: it asks the bank for up to three days before it gives up a late authorisation. The fourth day is a margin.
"""
# The pauses between checks of one payment.
# Longer than a check with a call for each of a payment's refunds. It is how long a worker that dies delays a payment.
_CHECK_LEASE: Final = timedelta(minutes=2)
_CHECK_PAUSES: Final = tuple(timedelta(minutes=minutes) for minutes in (15, 60, 240, 720, 1440))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    check_after: timedelta
    """The age at which an unfinished payment or refund is checked at the gateway (RECONCILE_AFTER)."""
    expire_after: timedelta
    """The age at which an unpaid payment expires (PAYMENT_EXPIRY)."""

    def has_expired(self, payment: Payment, at: datetime) -> bool:
        """Return whether the payment is too old, still unpaid, and not authorised by the bank."""
        return (
            payment.status is Status.PENDING
            and payment.authorized_at is None
            and payment.created_at + self.expire_after < at
        )

    def check_rules(self, waiting: Callable[[datetime], Where]) -> Rules:
        """Return the rules of a queue whose payments are checked until they are finished. Payers take turns.

        A check that could not ask the gateway is repeated when its lease ends, and not counted.
        """
        return Rules(
            waiting=waiting,
            due="check_at",
            attempts="checks",
            leases=(_CHECK_LEASE,),
            pauses=_CHECK_PAUSES,
            counts_claims=False,
            is_visible=False,
            offset=self.check_after,
            owner="user_id",
        )
