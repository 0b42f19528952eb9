"""The operators' pages."""

from functools import cached_property

from kernapay.administration.payments.repository import PaymentSearchRepository
from kernapay.bootstrap.live import Live
from kernapay.console.attention.service import AttentionService, Sources
from kernapay.console.session.service import ConsoleSessions, Terms
from kernapay.console.story.service import PaymentStories


class Console(Live):
    @cached_property
    def attention_service(self) -> AttentionService:
        return AttentionService(
            Sources(
                self.open_mismatches,
                self.finding_repository,
                self.webhook_repository,
                self.delivery_repository,
                self.dispute_repository,
                self.account_repository,
                self.nightly_reports,
            )
        )

    @cached_property
    def payment_stories(self) -> PaymentStories:
        return PaymentStories(
            self.payment_repository,
            PaymentSearchRepository(self.mongo, self._clock),
            self.webhook_repository,
            self.delivery_repository,
            self.endpoint_repository,
            self.audit_log,
            self.user_repository,
            self.gateway_call_repository,
        )

    @cached_property
    def console_sessions(self) -> ConsoleSessions:
        settings = self.settings
        terms = Terms(
            business=settings.merchant_name,
            zone=settings.business_timezone,
            livemode=settings.is_live,
            idle_seconds=int(settings.console_idle.total_seconds()),
            demands_second_factor=settings.is_production and settings.console_second_factor,
            proof_lifetime=settings.console_proof,
        )
        return ConsoleSessions(
            self.session_service,
            self.session_repository,
            self.session_opener,
            self.user_repository,
            self.second_factors,
            terms,
        )
