"""Issue receipts and credit notes: each gets its number once, as soon as it is final."""

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import groupby
from typing import Final

import structlog

from kernapay.config.types import ServiceType
from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unavailable
from kernapay.payments.documents.buyers import BuyerOf
from kernapay.payments.documents.models import Paper, PaperKind
from kernapay.payments.documents.repository import PaidPaymentRepository, PaperRepository
from kernapay.payments.documents.taxes import state_of
from kernapay.payments.models import Payment, Refund
from kernapay.payments.states import RefundState

_log = structlog.get_logger("kernapay.papers")
# India: the financial year begins on 1 April.
_FIRST_MONTH: Final = 4
_LETTERS: Final = {PaperKind.RECEIPT: "R", PaperKind.CREDIT_NOTE: "C"}
# No real money: these must leave no gap in the numbers of papers that count.
_TEST_SERIES: Final = "TEST"
# What is older was paid before receipts were mailed. Nobody waits for it.
_NEWS: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Seller:
    """The seller, from the settings."""

    name: str
    address: Sequence[str]
    gstin: str | None
    series: str
    service_types: Mapping[str, ServiceType]
    sends_mail: bool


@dataclass(frozen=True, slots=True)
class PapersOfPayment:
    """The papers of a paid payment. Notes are in the order in which they got their numbers."""

    receipt: Paper
    notes: Sequence[Paper]

    def note_of(self, refund_id: str) -> Paper | None:
        return next((note for note in self.notes if note.refund_id == refund_id), None)


def has_receipt(payment: Payment) -> bool:
    return payment.status.is_paid and payment.paid_at is not None


def find_refund(payment: Payment, refund_id: str | None) -> Refund | None:
    """Return a processed refund of a payment, or None."""
    return next(
        (
            refund
            for refund in payment.refunds
            if refund.refund_id == refund_id and refund.status is RefundState.PROCESSED
        ),
        None,
    )


def arranged(papers: Iterable[Paper]) -> PapersOfPayment | None:
    """Return the papers of one payment in order, None without a receipt. A credit note always has a receipt."""
    known = list(papers)
    receipt = next((each for each in known if each.kind is PaperKind.RECEIPT), None)
    return None if receipt is None else PapersOfPayment(receipt, _notes_in_order(known))


def _notes_in_order(papers: Iterable[Paper]) -> list[Paper]:
    """Return the notes among papers in the order in which they got their numbers, also where the series has changed.

    Each says what was refunded before it: that must not change with a later one. Within a series the number tells,
    because the clocks of two machines may differ.
    """
    notes = [each for each in papers if each.kind is PaperKind.CREDIT_NOTE]
    by_number = sorted(notes, key=lambda note: (note.series, note.number))
    series = [list(group) for _, group in groupby(by_number, key=lambda note: note.series)]
    return list(merge(*series, key=lambda note: note.created_at))


def financial_year(day: date) -> int:
    """Return the year in which the financial year of a day began."""
    return day.year if day.month >= _FIRST_MONTH else day.year - 1


class Papers:
    def __init__(
        self,
        papers: PaperRepository,
        payments: PaidPaymentRepository,
        buyer_of: BuyerOf,
        seller: Seller,
        days: BusinessDays,
        clock: Clock = now,
    ) -> None:
        self._papers = papers
        self._payments = payments
        self._buyer_of = buyer_of
        self._seller = seller
        self._days = days
        self._clock = clock

    async def of_payment(self, payment: Payment) -> PapersOfPayment:
        """Return the papers of a payment that has a receipt. Those without a number get one. Raises Unavailable."""
        known = await self._papers.of_payments([payment.pk])
        return await self._complete(payment, known)

    async def issue(self, payment_ids: Sequence[str]) -> None:
        """Issue all papers of payments that are final by now. Raises Unavailable.

        Call it again after a crash: what has a number keeps it. A payment whose papers cannot be
        made is logged and does not stop the others. It gets them when somebody asks.
        """
        paid = [each for each in await self._payments.paid_of(payment_ids) if has_receipt(each)]
        if not paid:
            return
        known = await self._papers.of_payments([payment.pk for payment in paid])
        by_payment: dict[str, list[Paper]] = {}
        for paper in known:
            by_payment.setdefault(str(paper.payment_id), []).append(paper)
        complete = (self._complete(each, by_payment.get(str(each.pk), [])) for each in paid)
        outcomes = await asyncio.gather(*complete, return_exceptions=True)
        for payment, outcome in zip(paid, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                raise outcome
            if isinstance(outcome, BaseException):
                _log.error("papers_not_issued", reference=payment.reference_id, exc_info=outcome)

    async def _complete(self, payment: Payment, known: Sequence[Paper]) -> PapersOfPayment:
        papers = {paper.pk: paper for paper in known}
        receipt = papers.get(str(payment.pk))
        if receipt is None:
            receipt = await self._papers.issue(await self._draft_receipt(payment))
        drafts = [each for each in self._draft_notes(payment, receipt) if each.pk not in papers]
        for paper in await asyncio.gather(*(self._papers.issue(draft) for draft in drafts)):
            papers[paper.pk] = paper
        return PapersOfPayment(receipt, _notes_in_order(papers.values()))

    async def _draft_receipt(self, payment: Payment) -> Paper:
        """Return the receipt, without a number."""
        receipt = self._draft(payment, PaperKind.RECEIPT, payment.paid_at or payment.updated_at)
        await self._add_tax(payment, receipt)
        return receipt

    def _draft_notes(self, payment: Payment, receipt: Paper) -> Iterator[Paper]:
        """Yield the credit notes of what was refunded for good, without numbers.

        They take over the tax of the receipt, because the settings may have changed since.
        """
        for refund in payment.refunds:
            if refund.status is RefundState.PROCESSED and refund.refund_id:
                kind = PaperKind.CREDIT_NOTE
                note = self._draft(payment, kind, refund.updated_at, refund.refund_id)
                note.gstin, note.sac = receipt.gstin, receipt.sac
                note.tax_rate, note.place = receipt.tax_rate, receipt.place
                yield note

    def _draft(
        self, payment: Payment, kind: PaperKind, at: datetime, refund_id: str | None = None
    ) -> Paper:
        seller, present = self._seller, self._clock()
        prefix = _TEST_SERIES if payment.livemode is False else seller.series
        year = financial_year(self._days.day_of(at))
        service_type = seller.service_types.get(payment.service_type, ServiceType())
        return Paper(
            id=f"{payment.pk}:{refund_id}" if refund_id else str(payment.pk),
            payment_id=payment.pk,
            kind=kind,
            refund_id=refund_id,
            series=f"{prefix}-{_LETTERS[kind]}{year % 100:02}",
            at=at,
            code=secrets.token_urlsafe(16),
            seller=seller.name,
            address=list(seller.address),
            gstin=seller.gstin,
            sac=service_type.sac,
            mail_at=present if seller.sends_mail and at > present - _NEWS else None,
        )

    async def _add_tax(self, payment: Payment, receipt: Paper) -> None:
        """Set the tax and the state of the supply. A seller without a GSTIN charges no tax."""
        service_type = self._seller.service_types.get(payment.service_type)
        if (
            self._seller.gstin is None
            or service_type is None
            or service_type.gst is None
            or payment.currency != "INR"
        ):
            return
        home = self._seller.gstin[:2]
        buyer = await self._buyer_of(payment)
        receipt.tax_rate = round(service_type.gst * 100)
        # India, IGST law: a service to somebody whose address is not known is supplied where the seller is.
        receipt.place = state_of(buyer.gstin, buyer.state) or home
