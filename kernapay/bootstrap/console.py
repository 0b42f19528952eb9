"""The operators' pages."""

from functools import cached_property

from kernapay.bootstrap.live import Live
from kernapay.console.session.service import ConsoleSessions, Terms


class Console(Live):
    @cached_property
    def console_sessions(self) -> ConsoleSessions:
        settings = self.settings
        terms = Terms(
            business=settings.merchant_name,
            zone=settings.business_timezone,
            livemode=settings.is_live,
            idle_seconds=int(settings.console_idle.total_seconds()),
            demands_second_factor=settings.is_production and settings.console_second_factor,
        )
        return ConsoleSessions(
            self.session_service,
            self.session_repository,
            self.session_opener,
            self.user_repository,
            self.second_factors,
            terms,
        )
