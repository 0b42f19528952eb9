"""Serve receipts and credit notes to callers who may see the payment, and by links."""

import hashlib
import hmac
from collections.abc import Sequence
from io import BytesIO

from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import Conflict, NotFound
from kernapay.files.base import FileLink, FileStore
from kernapay.payments.documents.links import ReceiptLinks
from kernapay.payments.documents.papers import (
    Papers,
    has_receipt,
)
from kernapay.payments.documents.printer import Form, Printer
from kernapay.payments.documents.repository import PaidPaymentRepository, PaperRepository
from kernapay.payments.documents.sheet_builder import SheetBuilder
from kernapay.payments.models import Payment
from kernapay.payments.service import PaymentService
from kernapay.security.principal import Principal


class NoReceipt(Conflict):
    """Only a paid payment has a receipt, and this one is not paid."""

    code = "no_receipt"
    title = "No receipt"


class NoCreditNote(Conflict):
    """Only a refund that was processed has a credit note, and this one was not."""

    code = "no_credit_note"
    title = "No credit note"


class ReceiptService:
    def __init__(
        self,
        payments: PaymentService,
        rows: PaidPaymentRepository,
        paper_rows: PaperRepository,
        papers: Papers,
        sheets: SheetBuilder,
        printer: Printer,
        links: ReceiptLinks,
        files: FileStore,
        name_keys: Sequence[bytes],
        days: BusinessDays,
    ) -> None:
        """`name_keys` make the file names of stored receipts. The first one makes new names."""
        self._payments = payments
        self._rows = rows
        self._paper_rows = paper_rows
        self._papers = papers
        self._sheets = sheets
        self._printer = printer
        self._links = links
        self._files = files
        self._name_keys = tuple(name_keys)
        self._days = days

    async def receipt(self, principal: Principal, reference_id: str, form: Form) -> bytes:
        """Return the receipt. Raises NotFound, NoReceipt, Unavailable.

        The bytes are the same until a refund, a dispute or the payer's name changes.
        """
        payment = await self._find(principal, reference_id)
        return await self._printer.produce(await self._sheets.receipt(payment), form)

    async def credit_note(
        self, principal: Principal, reference_id: str, refund_id: str, form: Form
    ) -> bytes:
        """Return the credit note of a refund. Raises NotFound, NoReceipt, NoCreditNote, Unavailable."""
        payment = await self._find(principal, reference_id)
        if all(refund.refund_id != refund_id for refund in payment.refunds):
            raise NotFound("No refund of this payment has this id.")
        papers = await self._papers.of_payment(payment)
        note = papers.note_of(refund_id)
        if note is None:
            raise NoCreditNote("Only a refund that was processed has a credit note.")
        return await self._printer.produce(await self._sheets.note(payment, papers, note), form)

    async def store(self, principal: Principal, reference_id: str) -> FileLink:
        """Store the receipt as a PDF file and return a link to it. Raises NotFound, NoReceipt, Unavailable."""
        pdf = await self.receipt(principal, reference_id, "pdf")
        name = _name_of(self._name_keys[0], reference_id)
        await self._files.put(name, BytesIO(pdf))
        return await self._files.link(name)

    async def forget(self, reference_ids: Sequence[str]) -> None:
        """Delete the stored receipts of these payments. Raises Unavailable."""
        for reference_id in reference_ids:
            for key in self._name_keys:
                await self._files.delete(_name_of(key, reference_id))

    async def link(self, principal: Principal, reference_id: str) -> FileLink:
        """Return a link to the receipt as a page. Raises NotFound, NoReceipt, Unavailable."""
        payment = await self._find(principal, reference_id)
        return self._links.of_payment(str(payment.pk))

    async def page(self, token: str) -> bytes | None:
        """Return the receipt that a link leads to, None if the link is not valid any more. Raises Unavailable."""
        payment_id = self._links.read(token)
        if payment_id is None:
            return None
        payment = await self._rows.of_id(payment_id)
        return await self._printer.produce(await self._sheets.receipt(payment), "html")

    async def check(self, code: str) -> bytes | None:
        """Return the page that checks the document with this code, None if there is none. Raises Unavailable."""
        paper = await self._paper_rows.with_code(code)
        if paper is None:
            return None
        payment = await self._rows.of_id(paper.payment_id)
        return await self._printer.check(paper, payment, self._days)

    async def _find(self, principal: Principal, reference_id: str) -> Payment:
        """Return a paid payment that the caller may see. Raises NotFound, NoReceipt."""
        view = await self._payments.show(principal, reference_id)
        payment = await self._rows.of_id(view.id)
        if not has_receipt(payment):
            raise NoReceipt(
                f"Only a paid payment has a receipt. This one is {payment.status.value}."
            )
        return payment


def _name_of(key: bytes, reference_id: str) -> str:
    # Of the payment, not of the content: a new name of the payer must not make another file. And with a key: links end
    # up in logs, and must not identify the payment.
    return f"receipt-{hmac.digest(key, reference_id.encode(), hashlib.sha256).hex()[:32]}.pdf"
