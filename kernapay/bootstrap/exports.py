"""Exports for finance."""

from functools import cached_property

from kernapay.bootstrap.operations import Operations
from kernapay.payments.exports.disputes import DisputeTable
from kernapay.payments.exports.jobs.service import ExportJobs
from kernapay.payments.exports.payments import PaymentTable
from kernapay.payments.exports.refunds import RefundTable
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.service import ExportService
from kernapay.payments.exports.values import RowKind
from kernapay.settlements.exports import SettlementTable


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
