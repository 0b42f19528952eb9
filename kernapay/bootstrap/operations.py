"""Webhooks, reconciliation, and the queues of due work."""

from functools import cached_property
from typing import Any

from kernapay.administration.payments.repository import PaymentSearchRepository
from kernapay.administration.payments.service import PaymentSearch
from kernapay.bootstrap.payments import Payments
from kernapay.core.business_days import BusinessDays
from kernapay.core.metrics import GaugeSource, Measurement
from kernapay.gateway.base import FEED_ZONE
from kernapay.reconciliation.lost_payments import LostPayments
from kernapay.reconciliation.nights import Nights
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.restoring import Restoring
from kernapay.reconciliation.resync import Resync
from kernapay.reconciliation.service import ReconciliationService
from kernapay.settlements.books import SettlementBooks
from kernapay.settlements.days.repository import SettlementDayRepository
from kernapay.settlements.repository import (
    SettlementRepository,
    SettlementRowRepository,
    UnsettledPayments,
)
from kernapay.settlements.service import SettlementReader
from kernapay.storage.queue import Queue
from kernapay.webhooks.repository import WebhookRepository
from kernapay.webhooks.service import WebhookInbox


class Operations(Payments):
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
            self.payment_gateway,
            self.pace,
            self.lifetimes,
            self._clock,
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
            self.audit_log,
            self.nights,
            self._clock,
        )

    @cached_property
    def nights(self) -> Nights:
        return Nights(
            self.report_repository, self.payment_repository, self.business_days, self._clock
        )

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        return (
            Measurement(
                "kernapay_last_good_night_age_seconds",
                "Time since the end of the last business day with a complete report; +Inf if no day has one",
                self.nights.age_of_last_good,
            ),
            Measurement(
                "kernapay_nights_missing",
                "Business days that have ended without a complete report",
                self.nights.count_missing,
            ),
            Measurement(
                "kernapay_unsettled_payments",
                "Captured payments that are not settled after SETTLED_WITHIN, counted up to 10,000",
                self.settlement_books.count_overdue,
            ),
            Measurement(
                "kernapay_settlement_problems",
                "Settlements older than a day that a person should look at, counted up to 10,000",
                self.settlement_books.count_problems,
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
            self.refund_service,
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
    def gauge_sources(self) -> tuple[GaugeSource, ...]:
        """What `/metrics` reads from the database at each call, beside the queues."""
        return (self.dispute_deadlines, *self.measurements)

    @cached_property
    def settlement_repository(self) -> SettlementRepository:
        return SettlementRepository(self.mongo, self._clock)

    @cached_property
    def settlement_row_repository(self) -> SettlementRowRepository:
        return SettlementRowRepository(self.mongo, self._clock)

    @cached_property
    def settlement_day_repository(self) -> SettlementDayRepository:
        return SettlementDayRepository(self.mongo, self._clock)

    @cached_property
    def settlement_reader(self) -> SettlementReader:
        return SettlementReader(
            self.payment_gateway,
            self.pace,
            self.settlement_repository,
            self.settlement_row_repository,
            self.settlement_day_repository,
            self.payment_repository,
            self.payout_service,
            BusinessDays(FEED_ZONE),
            self.settlement_books.count_overdue,
            self._clock,
        )

    @cached_property
    def settlement_books(self) -> SettlementBooks:
        return SettlementBooks(
            self.settlement_repository,
            self.settlement_row_repository,
            UnsettledPayments(self.mongo, self._clock),
            self.business_days,
            self.settings.settled_within,
            self._clock,
            live=self.settings.is_live,
        )

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
        )
