"""Events of changes: their sources and the relay."""

from datetime import timedelta
from functools import cached_property

from kernapay.bootstrap.exports import Exports
from kernapay.core.metrics import GaugeSource
from kernapay.deliveries.erased import ErasedBuyers
from kernapay.deliveries.events.repository import EventRepository, ListenerRepository
from kernapay.deliveries.events.service import EventService
from kernapay.deliveries.relay import Relay
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.deliveries.sources import FindingSource, PaymentSource, SettlementSource
from kernapay.deliveries.text_erasure import EventTextErasure
from kernapay.deliveries.untold import UntoldSteps
from kernapay.storage.locks import Turn
from kernapay.storage.relay_notes import RelayNotes

# How long changes wait when the worker that tells of them dies.
_TURN = timedelta(seconds=3)


class Events(Exports):
    @cached_property
    def event_repository(self) -> EventRepository:
        return EventRepository(self.mongo, self.settings.deliveries_keep, self._clock)

    @cached_property
    def delivery_repository(self) -> DeliveryRepository:
        return DeliveryRepository(self.mongo, self.settings.deliveries_keep, self._clock)

    @cached_property
    def event_text_erasure(self) -> EventTextErasure:
        return EventTextErasure(self.event_repository, self.delivery_repository)

    @cached_property
    def event_service(self) -> EventService:
        return EventService(self.event_repository)

    @cached_property
    def relay_notes(self) -> RelayNotes:
        return RelayNotes(self.mongo, self._clock)

    @cached_property
    def relay(self) -> Relay:
        return Relay(
            (
                PaymentSource(
                    self.payment_ledger,
                    self.relay_notes.events_since,
                    self.papers.issue,
                    ErasedBuyers(
                        self.customer_repository, self.user_repository, self.event_text_erasure
                    ),
                    self.insight_changes.note,
                ),
                SettlementSource(self.settlement_repository),
                FindingSource(self.report_repository, self.finding_repository.batches_of_report),
            ),
            self.event_repository,
            ListenerRepository(self.mongo, self._clock),
            self._clock,
            signaller=self.delivery_signals,
            turn=Turn(self.mongo, "relay", _TURN),
            always_stores=self.settings.deliveries_always_store,
        )

    @cached_property
    def untold_steps(self) -> UntoldSteps:
        return UntoldSteps(self.payment_ledger, self.relay_notes, self._clock)

    @cached_property
    def gauge_sources(self) -> tuple[GaugeSource, ...]:
        return (*super().gauge_sources, self.relay)
