"""Webhooks, reconciliation, and the queues of due work."""

from functools import cached_property
from typing import Any

from kernapay.administration.payments.mismatches import Mismatches
from kernapay.administration.payments.repository import PaymentSearchRepository
from kernapay.administration.payments.service import PaymentSearch
from kernapay.bootstrap.papers import PaperWork
from kernapay.core.business_days import BusinessDays
from kernapay.core.metrics import GaugeSource, Measurement
from kernapay.gateway.base import FEED_ZONE
from kernapay.payments.exports.jobs.repository import ExportJobRepository
from kernapay.payments.open_mismatches import OpenMismatches
from kernapay.payments.statements.mails.repository import StatementMailRepository
from kernapay.reconciliation.checks import PaymentChecks
from kernapay.reconciliation.lost_payments import LostPayments
from kernapay.reconciliation.nightly_repairs import NightlyRepairs
from kernapay.reconciliation.nightly_reports import NightlyReports
from kernapay.reconciliation.open_findings import OpenFindings
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.restoring import Restoring
from kernapay.reconciliation.resync import Resync
from kernapay.reconciliation.service import ReconciliationService
from kernapay.settlements.days.repository import SettlementDayRepository
from kernapay.settlements.entering import Entering
from kernapay.settlements.reports import SettlementReports
from kernapay.settlements.repository import (
    SettlementRepository,
    SettlementRowRepository,
    UnsettledPayments,
)
from kernapay.settlements.service import SettlementReader
from kernapay.settlements.sums.repository import SettlementSumRepository
from kernapay.storage.queue import Queue
from kernapay.webhooks.repository import WebhookRepository
from kernapay.webhooks.service import WebhookInbox


class Operations(PaperWork):
    @cached_property
    def webhook_repository(self) -> WebhookRepository:
        return WebhookRepository(self.mongo, self._clock)

    @cached_property
    def webhook_inbox(self) -> WebhookInbox:
        return WebhookInbox(
            self.webhook_repository,
            self.settlement,
            self.dispute_service,
            self.settlement_reader,
            self.cache,
            self.audit_log,
            self.settings.webhook_deadline,
        )

    @cached_property
    def pace(self) -> Pace:
        return Pace(self.settings.reconcile_rate)

    @cached_property
    def report_repository(self) -> ReportRepository:
        return ReportRepository(self.mongo, self._clock)

    @cached_property
    def finding_repository(self) -> FindingRepository:
        return FindingRepository(self.mongo, self._clock)

    @cached_property
    def resync(self) -> Resync:
        return Resync(
            self.payment_repository,
            self.settlement,
            self.ordering,
            self.refund_service,
            self.surplus_payments,
            self.payment_gateway,
            self.pace,
            self.lifetimes,
            self._clock,
        )

    @cached_property
    def payment_checks(self) -> PaymentChecks:
        return PaymentChecks(
            self.payment_repository, self.resync, self.audit_log, self.gateway_share, self._clock
        )

    @cached_property
    def lost_payments(self) -> LostPayments:
        return LostPayments(
            self.payment_repository,
            self.resync,
            self.payment_gateway,
            self.pace,
            self.settings.reconcile_after,
            self._clock,
        )

    @cached_property
    def reconciliation_service(self) -> ReconciliationService:
        return ReconciliationService(
            self.report_repository,
            self.finding_repository,
            self.payment_repository,
            self.resync,
            self.payment_gateway,
            self.pace,
            self.settlement_reports,
            self.audit_log,
            self.nightly_reports,
            self.nightly_repairs,
            self._clock,
        )

    @cached_property
    def nightly_repairs(self) -> NightlyRepairs:
        return NightlyRepairs(
            self.report_repository,
            self.finding_repository,
            self.repair_service,
            self.payment_repository,
            self._clock,
        )

    @cached_property
    def nightly_reports(self) -> NightlyReports:
        return NightlyReports(
            self.report_repository, self.payment_repository, self.business_days, self._clock
        )

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        return (
            Measurement(
                "kernapay_unsettled_payments",
                "Captured payments that are not settled after SETTLED_WITHIN, counted up to 10,000",
                self.settlement_reports.count_overdue,
            ),
            Measurement(
                "kernapay_settlement_problems",
                "Settlements older than a day that a person should look at, counted up to 10,000",
                self.settlement_reports.count_problems,
            ),
        )

    @cached_property
    def repair_service(self) -> RepairService:
        return RepairService(
            self.finding_repository,
            self.payment_repository,
            self.resync,
            self.settlement,
            self.ordering,
            self.surplus_payments,
            self.rebuilding,
            self.dispute_service,
            self.payment_gateway,
            self.pace,
            self.audit_log,
        )

    @cached_property
    def restoring(self) -> Restoring:
        return Restoring(
            self.reconciliation_service,
            self.repair_service,
            self.finding_repository,
            self.user_repository,
            self._clock,
        )

    @cached_property
    def payment_search(self) -> PaymentSearch:
        return PaymentSearch(
            PaymentSearchRepository(self.mongo, self._clock),
            self.user_repository,
            production=self.settings.is_production,
        )

    @cached_property
    def mismatches(self) -> Mismatches:
        return Mismatches(self.payment_repository)

    @cached_property
    def gauge_sources(self) -> tuple[GaugeSource, ...]:
        """What `/metrics` reads from the database at each call, beside the queues."""
        return (
            self.webhook_inbox,
            self.open_mismatches,
            self.open_findings,
            self.dispute_deadlines,
            self.nightly_reports,
            *self.measurements,
        )

    @cached_property
    def open_mismatches(self) -> OpenMismatches:
        return OpenMismatches(self.payment_repository)

    @cached_property
    def open_findings(self) -> OpenFindings:
        return OpenFindings(self.finding_repository)

    @cached_property
    def settlement_repository(self) -> SettlementRepository:
        return SettlementRepository(self.mongo, self._clock)

    @cached_property
    def settlement_row_repository(self) -> SettlementRowRepository:
        return SettlementRowRepository(self.mongo, self._clock)

    @cached_property
    def settlement_sum_repository(self) -> SettlementSumRepository:
        return SettlementSumRepository(self.mongo, self._clock)

    @cached_property
    def settlement_day_repository(self) -> SettlementDayRepository:
        return SettlementDayRepository(self.mongo, self._clock)

    @cached_property
    def payout_entering(self) -> Entering:
        return Entering(
            self.settlement_repository, self.settlement_row_repository, self.payout_service
        )

    @cached_property
    def settlement_reader(self) -> SettlementReader:
        return SettlementReader(
            self.payment_gateway,
            self.pace,
            self.settlement_repository,
            self.settlement_row_repository,
            self.settlement_sum_repository,
            self.settlement_day_repository,
            self.payment_repository,
            self.payout_entering,
            BusinessDays(FEED_ZONE),
            self.settlement_reports.count_overdue,
            self._clock,
        )

    @cached_property
    def settlement_reports(self) -> SettlementReports:
        return SettlementReports(
            self.settlement_repository,
            self.settlement_row_repository,
            self.settlement_sum_repository,
            UnsettledPayments(self.mongo, self._clock),
            self.settlement_day_repository,
            self.business_days,
            BusinessDays(FEED_ZONE),
            self.settings.settled_within,
            self._clock,
            live=self.settings.is_live,
        )

    @cached_property
    def export_job_repository(self) -> ExportJobRepository:
        return ExportJobRepository(self.mongo, self._clock)

    @cached_property
    def statement_mail_repository(self) -> StatementMailRepository:
        return StatementMailRepository(self.mongo, self._clock)

    @cached_property
    def queues(self) -> tuple[Queue[Any], ...]:
        return (
            self.webhook_repository.queue,
            self.message_repository.queue,
            self.settlement.unpaid,
            self.settlement.late,
            self.settlement.ending,
            self.surplus_payments.due,
            self.refund_service.open,
            self.report_repository.queue,
            self.settlement_day_repository.queue,
            self.customer_repository.queue,
            self.export_job_repository.queue,
            self.statement_mail_repository.queue,
        )
