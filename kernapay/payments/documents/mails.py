"""Mail receipts and credit notes to buyers, once they have a number. The worker does so."""

import hashlib
from datetime import timedelta
from typing import Final

import structlog
from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unavailable
from kernapay.notifications.base import Attachment
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.payments.documents.buyers import BuyerOf
from kernapay.payments.documents.models import Paper
from kernapay.payments.documents.papers import Papers, find_refund
from kernapay.payments.documents.plain_text import write_plain_text
from kernapay.payments.documents.printer import Printer
from kernapay.payments.documents.repository import PaidPaymentRepository, PaperRepository
from kernapay.payments.documents.sheet_builder import SheetBuilder
from kernapay.payments.models import Payment

_log = structlog.get_logger("kernapay.papers")
_BATCH: Final = 20
# Longer than it takes to draw a paper, and short for what a restart repairs.
_LEASE: Final = timedelta(minutes=5)
_KEEP_TRYING: Final = timedelta(days=3)


class PaperMails:
    def __init__(
        self,
        papers: PaperRepository,
        payments: PaidPaymentRepository,
        issued: Papers,
        sheets: SheetBuilder,
        buyer_of: BuyerOf,
        printer: Printer,
        outbox: Outbox,
        clock: Clock = now,
    ) -> None:
        self._papers = papers
        self._payments = payments
        self._issued = issued
        self._sheets = sheets
        self._buyer_of = buyer_of
        self._printer = printer
        self._outbox = outbox
        self._clock = clock

    async def sweep(self) -> bool:
        """Put due mails into the outbox. Return False if none was due. Raises Unavailable."""
        due = await self._papers.mails_due(_BATCH)
        for paper in due:
            taken = await self._papers.take_mail(paper, self._clock() + _LEASE)
            if taken is not None:
                await self._try(taken)
        return bool(due)

    async def _try(self, paper: Paper) -> None:
        try:
            await self._mail(paper)
        except Unavailable:
            raise
        except Exception as error:
            # Whatever is wrong with one paper, the others do not wait for its repair. It is due again later.
            _log.error("paper_not_mailed", paper=paper.title, exc_info=error)
        else:
            await self._papers.end_mail(paper)

    async def _mail(self, paper: Paper) -> None:
        payment = await self._payments.of_id(paper.payment_id)
        buyer = await self._buyer_of(payment)
        if (
            buyer.email is None
            or _is_void(payment, paper)
            or not self._outbox.has_provider(Channel.EMAIL)
        ):
            return
        if paper.refund_id is None:
            sheet = await self._sheets.receipt(payment)
        else:
            sheet = await self._sheets.note(payment, await self._issued.of_payment(payment), paper)
        pdf = await self._printer.produce(sheet, "pdf")
        await self._outbox.post(
            Channel.EMAIL,
            paper.kind.value,
            buyer.email,
            write_plain_text(sheet),
            subject=f"{sheet.seller}: {sheet.title.lower()} {sheet.number}",
            expires_at=self._clock() + _KEEP_TRYING,
            user_id=str(payment.user_id) if payment.customer_id is None else None,
            attachment=Attachment(f"{sheet.number}.pdf", "application/pdf", pdf),
            # The same for whoever repeats this after a crash.
            message_id=ObjectId(hashlib.sha256(f"paper\n{paper.pk}".encode()).digest()[:12]),
        )


def _is_void(payment: Payment, paper: Paper) -> bool:
    return paper.refund_id is not None and find_refund(payment, paper.refund_id) is None
