"""Count the mismatches that wait for a person, for a metric."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from kernapay.core.metrics import GaugeMetricFamily
from kernapay.payments.matching import MISMATCH_REASONS
from kernapay.payments.repository import MismatchedPayment, PaymentRepository
from kernapay.payments.states import PAID

# Somebody has to decide about these outside KernaPay, and nothing that is stored says that they did.
_NEVER_SETTLED: Final = frozenset(
    {"dispute_lost_after_refund", "refund_of_another_payment", "refund_of_second_payment"}
)


class Mismatch(Protocol):
    @property
    def reason(self) -> str: ...

    @property
    def payment_id(self) -> str | None: ...


class Surplus(Protocol):
    @property
    def payment_id(self) -> str | None: ...


class Mismatched(Protocol):
    """The columns of a payment that decide which of its mismatches are open."""

    @property
    def status(self) -> str: ...

    @property
    def razorpay_payment_id(self) -> str | None: ...

    @property
    def surplus_payments(self) -> Sequence[Surplus]: ...


class OpenMismatches:
    """Counts mismatches whose money is neither the sale's payment nor entered as surplus."""

    def __init__(self, payments: PaymentRepository) -> None:
        self._payments = payments

    async def count(self) -> Counter[str]:
        """Return the number of open mismatches by reason. Raises Unavailable."""
        counts: Counter[str] = Counter()
        for payment in await self._payments.list_mismatched(MismatchedPayment):
            counts.update(each.reason for each in payment.mismatches if is_open(each, payment))
        return counts

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return the number of open mismatches by reason. Raises Unavailable."""
        counts = await self.count()
        family = GaugeMetricFamily(
            "kernapay_open_mismatches",
            "Mismatches that wait for a person, by reason, of up to 10,000 payments",
            labels=("reason",),
        )
        for reason in MISMATCH_REASONS:
            family.add_metric((reason,), counts[reason])
        return [family]


def is_open(mismatch: Mismatch, payment: Mismatched) -> bool:
    """Return whether a mismatch of a payment still waits for a person."""
    placed = {each.payment_id for each in payment.surplus_payments}
    if payment.status in PAID:
        placed.add(payment.razorpay_payment_id)
    return mismatch.reason in _NEVER_SETTLED or mismatch.payment_id not in placed
