"""Build the sheets of receipts and credit notes from the papers, the payment and the buyer."""

from kernapay.core.business_days import BusinessDays
from kernapay.payments.documents.buyers import BuyerOf
from kernapay.payments.documents.links import ReceiptLinks
from kernapay.payments.documents.models import Paper
from kernapay.payments.documents.papers import Papers, PapersOfPayment
from kernapay.payments.documents.sheet import Sheet, note_sheet, receipt_sheet
from kernapay.payments.models import Payment


class SheetBuilder:
    def __init__(
        self, papers: Papers, buyer_of: BuyerOf, links: ReceiptLinks, days: BusinessDays
    ) -> None:
        self._papers = papers
        self._buyer_of = buyer_of
        self._links = links
        self._days = days

    async def receipt(self, payment: Payment) -> Sheet:
        """Return the sheet of the receipt of a paid payment. Raises Unavailable."""
        papers = await self._papers.of_payment(payment)
        buyer = await self._buyer_of(payment)
        url = self._links.check_url(papers.receipt.code)
        return receipt_sheet(payment, papers, buyer, self._days, url)

    async def note(self, payment: Payment, papers: PapersOfPayment, note: Paper) -> Sheet:
        """Return the sheet of a credit note. Raises Unavailable."""
        buyer = await self._buyer_of(payment)
        url = self._links.check_url(note.code)
        return note_sheet(payment, papers, note, buyer, self._days, url)
