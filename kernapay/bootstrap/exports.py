"""Exports for finance, and statements for providers."""

from functools import cached_property

from kernapay.bootstrap.operations import Operations
from kernapay.payments.exports.credit_notes import CreditNoteTable
from kernapay.payments.exports.disputes import DisputeTable
from kernapay.payments.exports.jobs.service import ExportJobs
from kernapay.payments.exports.payments import PaymentTable
from kernapay.payments.exports.refunds import RefundTable
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.service import ExportService
from kernapay.payments.exports.values import RowKind
from kernapay.payments.statements.mails.repository import ProviderRepository
from kernapay.payments.statements.mails.service import StatementMails
from kernapay.payments.statements.service import StatementService
from kernapay.settlements.exports import SettlementTable
from kernapay.users.dtos import UserView


class Exports(Operations):
    @cached_property
    def export_repository(self) -> ExportRepository:
        return ExportRepository(self.mongo, self._clock)

    @cached_property
    def export_service(self) -> ExportService:
        payments, days = self.export_repository, self.business_days
        return ExportService(
            {
                None: PaymentTable(payments, days, has_net=False),
                RowKind.PAYMENTS: PaymentTable(payments, days),
                RowKind.REFUNDS: RefundTable(payments, days),
                RowKind.DISPUTES: DisputeTable(payments, days),
                RowKind.CREDIT_NOTES: CreditNoteTable(
                    self.paper_repository, self.paid_payment_repository, days
                ),
                RowKind.SETTLEMENTS: SettlementTable(
                    self.settlement_repository, self.settlement_row_repository, days
                ),
            },
            self.file_store,
            self.audit_log,
            self.file_pool,
            days,
        )

    @cached_property
    def export_jobs(self) -> ExportJobs:
        return ExportJobs(
            self.export_job_repository, self.export_service, self.file_store, self.audit_log
        )

    @cached_property
    def statement_service(self) -> StatementService:
        return StatementService(
            self.export_repository,
            self.export_service,
            self._account_of,
            self.payees,
            self.audit_log,
            self.paper_printer,
            self.file_pool,
            self.totals_share,
            self.business_days,
            self.settings.merchant_name,
            self._clock,
        )

    @cached_property
    def statement_mails(self) -> StatementMails:
        return StatementMails(
            self.statement_mail_repository,
            ProviderRepository(self.mongo, self._clock),
            self.statement_service,
            self._account_of,
            self.outbox,
            self.business_days,
            self.settings.statement_day,
            self._clock,
        )

    async def _account_of(self, user_id: str) -> UserView | None:
        return await self.user_repository.profile(user_id=user_id)
