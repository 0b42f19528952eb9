"""Live streams."""

from functools import cached_property

from kernapay.bootstrap.deliveries import Deliveries
from kernapay.core.limits import most_streams, raise_open_files
from kernapay.live.repository import LivePaymentRepository
from kernapay.live.service import LiveService
from kernapay.live.stream_limits import StreamLimits
from kernapay.live.watcher import Watcher


class Live(Deliveries):
    @cached_property
    def live_payment_repository(self) -> LivePaymentRepository:
        return LivePaymentRepository(self.mongo, self._clock)

    @cached_property
    def watcher(self) -> Watcher:
        return Watcher(self.live_payment_repository, self.payment_signals)

    @cached_property
    def live_service(self) -> LiveService:
        stream_limits = StreamLimits(
            most_streams(self.settings.live_streams, raise_open_files()),
            self.settings.live_streams_per_client,
        )
        return LiveService(
            self.live_payment_repository, self.watcher, stream_limits, self.authenticator
        )
