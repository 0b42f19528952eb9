"""The credit notes of an export, a line each: the register that a tax adviser asks for."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from kernapay.core.business_days import BusinessDays
from kernapay.payments.documents.models import Paper
from kernapay.payments.documents.notes import NoteFigures, figures_of
from kernapay.payments.documents.papers import arranged
from kernapay.payments.documents.repository import PaidPaymentRepository, PaperRepository
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money
from kernapay.payments.models import Payment

_SUMS: Final = ("amount", "value", "cgst", "sgst", "igst", "rounding")


class CreditNoteTable:
    name = "credit_notes"
    times = (By.CREATED,)
    columns = (
        *("number", "series", "status", "at", "on", "receiptNumber", "receiptOn", "amount"),
        *("currency", "value", "cgst", "sgst", "igst", "rounding", "taxRate", "sac", "gstin"),
        *("placeOfSupply", "referenceId", "refundId", "customerId", "serviceType", "livemode"),
    )

    def __init__(
        self, papers: PaperRepository, payments: PaidPaymentRepository, days: BusinessDays
    ) -> None:
        self._papers = papers
        self._payments = payments
        self._days = days

    def tally(self) -> Tally:
        return Tally(self.columns, ("currency", "status", "series"), _SUMS)

    async def batches(self, _: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the credit notes of refunds that were processed between two times, oldest first."""
        async for notes in self._papers.notes_between(start, end):
            ids = list({str(note.payment_id): note.payment_id for note in notes}.values())
            papers = await self._papers.of_payments(ids)
            payments = {str(each.pk): each for each in await self._payments.paid_of(ids)}
            yield self._lines(notes, papers, payments)

    def _lines(
        self, notes: Sequence[Paper], papers: Sequence[Paper], payments: Mapping[str, Payment]
    ) -> Iterator[Line]:
        by_payment: dict[str, list[Paper]] = {}
        for paper in papers:
            by_payment.setdefault(str(paper.payment_id), []).append(paper)
        for note in notes:
            payment_id = str(note.payment_id)
            yield self._line(note, payments.get(payment_id), by_payment.get(payment_id, []))

    def _line(self, note: Paper, payment: Payment | None, papers: Sequence[Paper]) -> Line:
        # No number is left out: a note stands here also when its payment cannot be read.
        of_payment = arranged(papers)
        is_known = payment is not None and of_payment is not None
        found = figures_of(payment, of_payment, note) if payment and of_payment else NoteFigures()
        currency = payment.currency if payment else None
        receipt = of_payment.receipt if of_payment else None
        return [
            note.title,
            note.series,
            "given" if found.amount is not None else "void" if is_known else "unknown",
            note.at,
            self._days.day_of(note.at),
            receipt.title if receipt else None,
            self._days.day_of(receipt.at) if receipt else None,
            *self._money(found, currency),
            None if note.tax_rate is None else f"{note.tax_rate / 100:g}",
            note.sac,
            note.gstin,
            note.place,
            payment and payment.reference_id,
            note.refund_id,
            None if payment is None or payment.customer_id is None else str(payment.customer_id),
            payment and payment.service_type,
            payment and payment.livemode,
        ]

    def _money(self, found: NoteFigures, currency: str | None) -> Line:
        def of(amount: int | None) -> Money | None:
            return None if amount is None or currency is None else Money(amount, currency)

        taxes = [of(found.tax(*names)) for names in (("CGST",), ("SGST", "UTGST"), ("IGST",))]
        split = found.split
        return [
            of(found.amount),
            currency,
            of(split and split.value),
            *taxes,
            of(split and split.rounding),
        ]
