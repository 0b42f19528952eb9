"""Receipts and credit notes."""

from functools import cached_property

from kernapay.bootstrap.payments import Payments
from kernapay.config.addresses import payers_address
from kernapay.core.keys import derive_key
from kernapay.payments.documents.buyers import PaperBuyers
from kernapay.payments.documents.links import ReceiptLinks
from kernapay.payments.documents.mails import PaperMails
from kernapay.payments.documents.papers import Papers, Seller
from kernapay.payments.documents.printer import Printer
from kernapay.payments.documents.receipts import ReceiptService
from kernapay.payments.documents.repository import PaidPaymentRepository, PaperRepository
from kernapay.payments.documents.sheet_builder import SheetBuilder


class PaperWork(Payments):
    @cached_property
    def paper_repository(self) -> PaperRepository:
        return PaperRepository(self.mongo, self._clock)

    @cached_property
    def paid_payment_repository(self) -> PaidPaymentRepository:
        return PaidPaymentRepository(self.mongo, self._clock)

    @cached_property
    def paper_buyers(self) -> PaperBuyers:
        return PaperBuyers(
            self.customer_repository, lambda user_id: self.user_repository.profile(user_id=user_id)
        )

    @cached_property
    def receipt_links(self) -> ReceiptLinks:
        settings = self.settings
        return ReceiptLinks(payers_address(settings), settings.jwt_secrets, self._clock)

    @cached_property
    def papers(self) -> Papers:
        settings = self.settings
        seller = Seller(
            settings.merchant_name,
            settings.receipt_address,
            settings.receipt_gstin,
            settings.receipt_series,
            settings.service_types,
            settings.receipt_mail,
        )
        return Papers(
            self.paper_repository,
            self.paid_payment_repository,
            self.paper_buyers.find,
            seller,
            self.business_days,
            self._clock,
        )

    @cached_property
    def paper_sheet_builder(self) -> SheetBuilder:
        return SheetBuilder(
            self.papers, self.paper_buyers.find, self.receipt_links, self.business_days
        )

    @cached_property
    def paper_printer(self) -> Printer:
        return Printer(self.file_pool)

    @cached_property
    def paper_mails(self) -> PaperMails:
        return PaperMails(
            self.paper_repository,
            self.paid_payment_repository,
            self.papers,
            self.paper_sheet_builder,
            self.paper_buyers.find,
            self.paper_printer,
            self.outbox,
            self._clock,
        )

    @cached_property
    def receipt_service(self) -> ReceiptService:
        return ReceiptService(
            self.payment_service,
            self.paid_payment_repository,
            self.paper_repository,
            self.papers,
            self.paper_sheet_builder,
            self.paper_printer,
            self.receipt_links,
            self.file_store,
            [derive_key(secret, "receipts") for secret in self.settings.jwt_secrets],
            self.business_days,
        )
