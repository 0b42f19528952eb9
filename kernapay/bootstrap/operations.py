"""Webhooks, reconciliation, and the queues of due work."""

from functools import cached_property
from typing import Any

from kernapay.bootstrap.payments import Payments
from kernapay.core.metrics import Gauges
from kernapay.reconciliation.nights import Nights
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.restoring import Restoring
from kernapay.reconciliation.resync import Resync
from kernapay.reconciliation.service import ReconciliationService
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
    def gauges(self) -> tuple[Gauges, ...]:
        return (self.nights.gauges,)

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
    def queues(self) -> tuple[Queue[Any], ...]:
        return (
            self.webhook_repository.queue,
            self.message_repository.queue,
            self.settlement.unpaid,
            self.settlement.late,
            self.refund_service.open,
            self.report_repository.queue,
        )
