"""List the mismatches of all payments for administrators, who decide about them."""

from collections.abc import Iterator
from operator import attrgetter

from msgspec import Struct, structs

from kernapay.administration.payments.dtos import MismatchOfPayment, MismatchView
from kernapay.payments.open_mismatches import is_open
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Status


class _Surplus(Struct, rename="camel"):
    payment_id: str | None = None


class _Payment(Struct, rename="camel"):
    reference_id: str
    status: Status
    razorpay_payment_id: str | None = None
    mismatches: list[MismatchView] = []
    surplus_payments: list[_Surplus] = []


class Mismatches:
    def __init__(self, payments: PaymentRepository) -> None:
        self._payments = payments

    async def page(self, count: int, skip: int, *, only_open: bool) -> list[MismatchOfPayment]:
        """Return a page of the mismatches, newest first, of up to 10,000 payments. Raises Unavailable."""
        payments = await self._payments.list_mismatched(_Payment)
        found = [each for payment in payments for each in _of(payment)]
        wanted = [each for each in found if each.is_open or not only_open]
        wanted.sort(key=attrgetter("at", "reference_id"), reverse=True)
        return wanted[skip : skip + count]


def _of(payment: _Payment) -> Iterator[MismatchOfPayment]:
    for each in payment.mismatches:
        yield MismatchOfPayment(
            reference_id=payment.reference_id,
            payment_status=payment.status,
            is_open=is_open(each, payment),
            **structs.asdict(each),
        )
